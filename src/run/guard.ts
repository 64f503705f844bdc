// The collapse guard: DARTS is known to end in cells of skip connections, and to decide by chance when its alphas are
// one-sided early. It watches the epochs of a search by rules that are functions of the log alone, so that a resumed
// search, shown the epochs before, judges like one never interrupted.
import type { Config } from "../config/schema.ts";
import { cellsOf, drawCellText } from "../genotype/draw.ts";
import type { Genotype } from "../genotype/genotype.ts";
import { type EigenvalueSample, EV_LOCAL_AVERAGE, evLocalAverage } from "../search/ev-local-average.ts";
import type { EarlyEnd } from "../search/method.ts";
import type { SearchEpochEvent } from "./events.ts";
import type { HealthEvent } from "./health.ts";

/** What the guard sees of an epoch. */
export type WatchedEpoch = Pick<
  SearchEpochEvent,
  "epoch" | "genotype" | "skipCount" | "entropy" | "evenEntropy" | "eigenvalue"
>;

/** Watches a search; each rule fires once, at the epoch that first breaks it. */
export class CollapseGuard {
  readonly #settings: Config["guard"];
  readonly #fired = new Set<string>();
  readonly #genotypes: Genotype[] = [];
  readonly #samples: EigenvalueSample[] = [];

  constructor(settings: Config["guard"]) {
    this.#settings = settings;
  }

  /** Takes in the next epoch; returns the rules that it is the first to break. */
  observe(epoch: WatchedEpoch): EarlyEnd[] {
    this.#genotypes.push(epoch.genotype);
    if (epoch.eigenvalue !== undefined) this.#samples.push({ epoch: epoch.epoch, value: epoch.eigenvalue });
    if (this.#settings.action === "off") return [];
    const broken = [this.#skips(epoch), this.#entropy(epoch), this.#growth(epoch)];
    return broken.flatMap((end) => {
      if (!end || this.#fired.has(end.rule)) return [];
      this.#fired.add(end.rule);
      return [end];
    });
  }

  /** What is logged of a rule that fired, or of a method's own: the cell to go back to, and that of the epoch. */
  event({ rule, reason, back }: EarlyEnd, epoch: number): HealthEvent {
    const [before, now] = [this.#genotypes[back]!, this.#genotypes[epoch]!].map((genotype) => {
      const { edges, concat, inputs } = cellsOf(genotype)[0]!;
      return drawCellText(edges, concat, { inputs, colour: false });
    });
    const message =
      `collapse, by the rule ${rule}: ${reason}.\nNormal cell of epoch ${back + 1}:\n${before}\n` +
      `Normal cell of epoch ${epoch + 1}:\n${now}`;
    return { type: "health", kind: "collapse", phase: "search", epoch, step: null, message, rule, back };
  }

  #skips({ epoch, skipCount }: WatchedEpoch): EarlyEnd | undefined {
    const limit = this.#settings.skips;
    if (limit === null || skipCount.normal < limit) return undefined;
    const reason = `the normal cell has ${skipCount.normal} skip connections, expected fewer than ${limit}`;
    return { rule: "skips", reason, back: Math.max(0, epoch - 1) };
  }

  #entropy({ epoch, entropy, evenEntropy }: WatchedEpoch): EarlyEnd | undefined {
    const limit = this.#settings.entropy;
    if (limit === null || evenEntropy.normal === 0) return undefined;
    const share = entropy.normal / evenEntropy.normal;
    if (share >= limit) return undefined;
    const reason = `the normal alphas' entropy is ${share.toFixed(3)} of the largest, expected at least ${limit}`;
    return { rule: "entropy", reason, back: Math.max(0, epoch - 1) };
  }

  /** RobustDARTS' rule, with its constants, on measurements at a distance of their own. */
  #growth({ eigenvalue }: WatchedEpoch): EarlyEnd | undefined {
    const factor = this.#settings.eigenvalueGrowth;
    if (factor === null || eigenvalue === undefined || this.#samples.length < 2) return undefined;
    const every = this.#samples[1]!.epoch - this.#samples[0]!.epoch;
    const found = evLocalAverage(this.#samples, { ...EV_LOCAL_AVERAGE, every, factor });
    if (!found) return undefined;
    const reason = `the local average of the largest eigenvalue has grown ${found.growth.toFixed(2)} times`;
    return { rule: "eigenvalue", reason, back: found.back };
  }
}
