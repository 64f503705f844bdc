// One case of memory.ts in a process of its own: the plan's forecast, then the real steps, then the peak that the
// system saw. The case comes as the argument, the result is one JSON line.
import { resolveConfig } from "../src/config/load.ts";
import { findGenotype } from "../src/genotype/published.ts";
import { randomGenotype } from "../src/genotype/random.ts";
import { createGenerator } from "../src/random/generator.ts";
import { makePlan } from "../src/run/plan.ts";
import { noise } from "../src/run/rehearse.ts";
import { Search } from "../src/search/search.ts";
import { setThreads } from "../src/tensor/runtime.ts";
import { Training } from "../src/train/training.ts";
import type { MemoryCase, MemoryResult } from "./memory.ts";
import { memoryOf } from "./worker.ts";

const one = JSON.parse(process.argv[2]!) as MemoryCase;
const config = resolveConfig({ flags: one.settings });
setThreads(config.threads);
const searches = one.kind === "search";
const genotype = one.genotype
  ? findGenotype(one.genotype)
  : randomGenotype(createGenerator(1, "bench"), config.space);
const data = dataOf(one);

const started = performance.now();
const intent = searches ? { searches } : { searches, trains: genotype };
const [part] = makePlan({ config, data, intent }).parts;
const result: Omit<MemoryResult, "measuredMB"> = {
  forecastMB: part!.peakBytes! / 2 ** 20,
  rehearsalSeconds: (performance.now() - started) / 1000,
};
if (searches) runSearch();
else runTraining();
process.stdout.write(`${JSON.stringify({ ...result, measuredMB: memoryOf("self", "VmHWM") })}\n`);

/** Noise; a bilevel search splits it in two. */
function dataOf({ kind, images, size = 32, imageChannels = 3, classes = 10, settings }: MemoryCase) {
  const oneLevel = settings["search.order"] === "joint";
  const shape = {
    name: "noise",
    classes: Array.from({ length: classes }, (_, c) => `class ${c}`),
    mean: Array.from({ length: imageChannels }, () => 0.5),
    std: Array.from({ length: imageChannels }, () => 0.25),
    train: { channels: imageChannels, height: size, width: size },
  };
  return noise(shape, kind === "search" && !oneLevel ? 2 * images : images);
}

function runSearch(): void {
  using search = new Search(config, data);
  for (let epoch = 0; epoch < 2; epoch++) {
    while (search.step < search.stepsPerEpoch) search.runStep();
    search.endEpoch(search.validate());
  }
}

function runTraining(): void {
  using training = new Training(config, genotype, data);
  training.epoch = config.train.epochs - 2; // with drop-path
  for (let epoch = 0; epoch < 2; epoch++) {
    while (training.step < training.stepsPerEpoch) training.runStep();
    training.endEpoch();
  }
}
