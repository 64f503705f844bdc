// The jobs behind the commands: run, search, train, test and derive.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import type { DataSummary } from "../data/class-counts.ts";
import { UserError } from "../errors.ts";
import { formatPython } from "../genotype/parse.ts";
import { loadedPlugins } from "../plugin/load.ts";
import { scope } from "../tensor/scope.ts";
import { evaluate } from "../train/evaluate.ts";
import { createNetwork } from "../train/training.ts";
import { loadWeights } from "./checkpoint.ts";
import { costOf } from "./costs.ts";
import { readEvents, type SearchEpochEvent } from "./events.ts";
import { readGenotypeSource } from "./genotype-source.ts";
import type { DeriveOptions, JobResult, NewRunOptions, TestOptions, TrainOptions } from "./job.ts";
import { cellText, type RunReport, reportText } from "./report.ts";
import { openRun, readGenotype, saveGenotype, saveReport } from "./run-folder.ts";
import { percent, runSearch } from "./search-job.ts";
import { inNewRun, loadData, prepareRuntime, type Session } from "./session.ts";
import { randomCell, runTraining, type TrainOutcome } from "./train-job.ts";

/** The main job: search, derive, train the found cell and random ones at equal budget, report. */
export function runCommand(config: Config, options: NewRunOptions): Promise<JobResult> {
  return inNewRun("run", config, options, async (session) => {
    const search = await runSearch(session);
    const trained = [await runTraining(session, search.genotype, "found")];
    for (let i = 1; i <= config.train.randomCells; i++) trained.push(await trainRandom(session, i));
    return finish(session, { search, trained });
  });
}

/** The search alone; the run's folder ends with the genotype. */
export function searchCommand(config: Config, options: NewRunOptions): Promise<JobResult> {
  return inNewRun("search", config, options, async (session) =>
    finish(session, { search: await runSearch(session), trained: [] }),
  );
}

/** Trains one named cell from scratch. */
export async function trainCommand(config: Config, options: TrainOptions): Promise<JobResult> {
  const named = options.cell === "random" ? undefined : await readGenotypeSource(options.cell);
  // The cell of another run may have brought that run's plugins: this run needs them too.
  const plugin = [...new Set([...config.plugin, ...loadedPlugins()])];
  return inNewRun("train", { ...config, plugin }, options, async (session) => {
    await saveGenotype(session.run, named ?? randomCell(session, 1));
    if (!named) return finish(session, { trained: [await trainRandom(session, 1)] });
    return finish(session, { trained: [await runTraining(session, named, "found")] });
  });
}

/** Measures a trained network of a run on the test images. */
export async function testCommand(config: Config, options: TestOptions): Promise<JobResult> {
  const { cell, checkpoint, reporter } = options;
  const run = openRun(options.run);
  const path = options.weights ?? join(run.files.checkpoints, `${cell}-${checkpoint}.safetensors`);
  if (options.weights === undefined && !existsSync(path)) {
    throw new UserError(
      `The run ${options.run} has no trained network '${cell}' (${path} is missing). Train it: darts train ${options.run}`,
    );
  }
  const genotype = readGenotype(run, cell === "found" ? "" : `${cell}-`);
  prepareRuntime(config);
  // How many images it was trained on has no say in which it is measured on.
  const data = { ...config.data, trainImages: null };
  const { dataset, test, summary } = await loadData({ ...config, data }, reporter);
  const own = readEvents(run.files.events).find((event) => event.type === "run-start")?.data;
  if (own) requireSameImages(summary, own, options.run);
  using network = createNetwork(genotype, config, dataset);
  scope(() => network.loadStateDict(loadWeights(path)));
  // Images are normalised as they were for the training, whatever other images the data hold.
  const { mean, std } = own ?? dataset;
  const { batchSize } = config.train;
  const measured = evaluate(network, test.open("darts test"), {
    mean,
    std,
    batchSize,
    device: config.device,
  });
  const text =
    `${cell} (${options.weights ?? checkpoint}) on ${measured.images} test images: ` +
    `top-1 ${percent(measured.top1)}, top-5 ${percent(measured.top5)}, loss ${measured.loss.toFixed(4)}`;
  return { json: { run: options.run, cell, weights: path, ...measured }, text };
}

/** A network takes images of any size, and would be measured on those of another one without a word. */
function requireSameImages(got: DataSummary, own: DataSummary, run: string): void {
  const format = ({ height, width, channels }: DataSummary) => `${height}×${width}×${channels}`;
  if (format(got) !== format(own)) {
    throw new UserError(
      `The images are ${format(got)} (height, width, channels), but ${run} was trained on ${format(own)}. ` +
        `Convert them: --data-image-size ${own.height} --data-image-width ${own.width} --data-channels ${own.channels}`,
    );
  }
  if (got.classes.join("\0") === own.classes.join("\0")) return;
  throw new UserError(
    `The images have the classes ${got.classes.join(", ")}, but ${run} was trained on ${own.classes.join(", ")}. ` +
      "Name their folders alike, and leave none out.",
  );
}

/** The genotype of a search's last epoch, or of another one: as its method derived it and the event log holds it. */
export async function deriveCommand({ run: path, epoch }: DeriveOptions): Promise<JobResult> {
  const run = openRun(path);
  const epochs = readEvents(run.files.events).filter((event) => event.type === "search-epoch");
  const chosen = findEpoch(epochs, epoch, path);
  const { genotype } = chosen;
  await saveGenotype(run, genotype, epoch === undefined ? "" : `epoch-${epoch}-`);
  const { normal, reduce } = genotype;
  return {
    json: { epoch: chosen.epoch, normal, reduce, genotype: formatPython(genotype) },
    text: `${cellText(genotype)}\n\n${formatPython(genotype)}`,
  };
}

function findEpoch(events: SearchEpochEvent[], epoch: number | undefined, path: string): SearchEpochEvent {
  if (events.length === 0) {
    throw new UserError(
      `${path} has no finished epoch of a search: search first, with darts search or darts run.`,
    );
  }
  const found = epoch === undefined ? events.at(-1) : events.find((event) => event.epoch === epoch);
  if (found) return found;
  throw new UserError(`${path} has no epoch ${epoch}; expected 0 to ${events.at(-1)?.epoch}.`);
}

async function trainRandom(session: Session, index: number): Promise<TrainOutcome> {
  const cell = `random-${index}`;
  const genotype = randomCell(session, index);
  await saveGenotype(session.run, genotype, `${cell}-`);
  session.events.append({ type: "derive", cell, epoch: null, genotype, ...costOf(genotype, session) });
  return runTraining(session, genotype, cell);
}

function finish(
  { run, events, test, summary }: Session,
  outcome: Pick<RunReport, "search" | "trained">,
): JobResult {
  const report: RunReport = {
    ...outcome,
    run: run.path,
    data: summary,
    testImages: test.count,
    testOpenedBy: test.openedBy,
  };
  const json = { ...report };
  events.append({ type: "report", report: json });
  saveReport(run, json);
  return { json, text: reportText(report) };
}
