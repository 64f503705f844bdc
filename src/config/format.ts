// A configuration as YAML text, as a run's folder keeps it and `darts presets NAME` prints it.
import { Document, isScalar, isSeq, visit } from "yaml";
import { configKeys, optionKeys } from "./keys.ts";
import type { Config } from "./schema.ts";

/** One key whose value differs between two configurations. */
export interface ConfigDifference {
  readonly key: string;
  readonly value: unknown;
  readonly reference: unknown;
}

/** What {@link formatConfig} says beside the values. */
export interface Remarks {
  /** Differing lines say the value of this configuration. */
  readonly reference?: { readonly name: string; readonly config: Config };
  /** A note for each key, by dotted path: where its value comes from. */
  readonly notes?: Readonly<Record<string, string>>;
}

/** The configuration as YAML that `--config` reads back. */
export function formatConfig(config: Config, { reference, notes = {} }: Remarks = {}): string {
  const document = new Document(config);
  visit(document, {
    Seq(_, list) {
      list.flow = true;
    },
  });
  const differences = reference ? diffConfigs(config, reference.config) : [];
  const other = new Map(
    differences.map((one) => [one.key, `${reference!.name}: ${JSON.stringify(one.reference)}`]),
  );
  for (const { path } of configKeys()) {
    const remarks = [other.get(path), notes[path]].filter((text) => text !== undefined);
    const node = document.getIn(path.split("."), true);
    if (remarks.length > 0 && (isScalar(node) || isSeq(node))) node.comment = ` ${remarks.join(" · ")}`;
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** The keys on which two configurations differ, in the schema's order, then the methods' options; null where one has none. */
export function diffConfigs(config: Config, reference: Config): ConfigDifference[] {
  const methods = [config.search.method, reference.search.method];
  const options = optionKeys().filter(({ method }) => methods.includes(method));
  const paths = new Set([...configKeys(), ...options].map(({ path }) => path));
  return [...paths].flatMap((path) => {
    const [value = null, other = null] = [valueAt(config, path), valueAt(reference, path)];
    const difference = { key: path, value, reference: other };
    return JSON.stringify(difference.value) === JSON.stringify(difference.reference) ? [] : [difference];
  });
}

/** The value of a dotted key. */
export function valueAt(config: Config, path: string): unknown {
  return path.split(".").reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], config);
}
