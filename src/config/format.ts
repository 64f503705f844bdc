// A configuration as YAML text, as a run's folder keeps it and `darts presets NAME` prints it.
import { Document, isScalar, isSeq, visit } from "yaml";
import { configKeys } from "./keys.ts";
import type { Config } from "./schema.ts";

/** One key whose value differs between two configurations. */
export interface ConfigDifference {
  readonly key: string;
  readonly value: unknown;
  readonly reference: unknown;
}

/** The configuration as YAML that `--config` reads back; with `reference`, differing lines say its value. */
export function formatConfig(config: Config, reference?: { name: string; config: Config }): string {
  const document = new Document(config);
  visit(document, {
    Seq(_, list) {
      list.flow = true;
    },
  });
  for (const { key, reference: other } of reference ? diffConfigs(config, reference.config) : []) {
    const node = document.getIn(key.split("."), true);
    if (isScalar(node) || isSeq(node)) node.comment = ` ${reference!.name}: ${JSON.stringify(other)}`;
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** The keys on which two configurations differ, in the schema's order. */
export function diffConfigs(config: Config, reference: Config): ConfigDifference[] {
  return configKeys().flatMap(({ path }) => {
    const difference = { key: path, value: valueAt(config, path), reference: valueAt(reference, path) };
    return JSON.stringify(difference.value) === JSON.stringify(difference.reference) ? [] : [difference];
  });
}

/** The value of a dotted key. */
export function valueAt(config: Config, path: string): unknown {
  return path.split(".").reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], config);
}
