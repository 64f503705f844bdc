// The jobs behind the commands: run, search, train, test and derive.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ConfigSources } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { imagesAtOnce } from "../data/batch-tensors.ts";
import type { DataSummary } from "../data/class-counts.ts";
import { UserError } from "../errors.ts";
import { checkGenotype, formatGenotype } from "../genotype/parse.ts";
import { loadConfig } from "../plugin/config.ts";
import { loadedPlugins } from "../plugin/load.ts";
import { scope } from "../tensor/scope.ts";
import { createNetwork } from "../train/training.ts";
import { loadWeights } from "./checkpoint.ts";
import { readEvents, type SearchEpochEvent } from "./events.ts";
import { percent } from "./figures.ts";
import { readGenotypeSource } from "./genotype-source.ts";
import { Interruption } from "./interruption.ts";
import type {
  DeriveOptions,
  JobResult,
  NewRunOptions,
  PlanOptions,
  ResumeOptions,
  TestOptions,
  TrainOptions,
} from "./job.ts";
import { lockRun } from "./lock.ts";
import { type Intent, makePlan, timePlan } from "./plan.ts";
import { requireMemory } from "./plan-advice.ts";
import { planJson, planText } from "./plan-text.ts";
import { checkConfig, checkData } from "./preflight.ts";
import { drawRandomCell } from "./random-cell.ts";
import { cellText, type RunReport, reportText } from "./report.ts";
import { finishedReport, resumedConfig } from "./resume.ts";
import { openRun, readGenotype, runConfigFile, saveGenotype, saveReport } from "./run-folder.ts";
import { type RunCommand, readRecord } from "./run-record.ts";
import { runSearch } from "./search-job.ts";
import { inNewRun, inOldRun, loadData, prepareRuntime, type Session } from "./session.ts";
import { evaluateUntilTold, reportOf, runTraining, trainRandom } from "./train-job.ts";

/** The main job: search, derive, train the found cell and random ones at equal budget, report. */
export function runCommand(config: Config, options: NewRunOptions): Promise<JobResult> {
  return inNewRun({ command: "run", genotype: null }, config, options, perform);
}

/** The search alone; the run's folder ends with the genotype. */
export function searchCommand(config: Config, options: NewRunOptions): Promise<JobResult> {
  return inNewRun({ command: "search", genotype: null }, config, options, perform);
}

/** Trains one named cell from scratch. */
export async function trainCommand(config: Config, options: TrainOptions): Promise<JobResult> {
  const genotype = options.cell === "random" ? null : await readGenotypeSource(options.cell);
  // The cell of another run may have brought that run's plugins: this run needs them too.
  const plugin = [...new Set([...config.plugin, ...loadedPlugins()])];
  return inNewRun({ command: "train", genotype }, { ...config, plugin }, options, perform);
}

/**
 * Goes on with an interrupted run to the same bytes as had it never been interrupted. `sources` may repeat its
 * settings and change those that make no other run of it; a run that has finished gives its report again. `command` is
 * the one that must have begun it; undefined: any.
 */
export async function resumeCommand(
  command: RunCommand | undefined,
  sources: ConfigSources,
  options: ResumeOptions,
): Promise<JobResult> {
  // Its plugins, wherever they lie now, before its settings are checked.
  const { set, flags } = sources;
  const { plugin } = await loadConfig({ file: runConfigFile(options.run), set, flags });
  const run = openRun(options.run);
  const record = readRecord(run);
  if (command !== undefined && record.command !== command) {
    throw new UserError(
      `${run.path} was begun by darts ${record.command}; resume it so: darts ${record.command} --resume ${run.path}`,
    );
  }
  const config = { ...resumedConfig(run, sources), plugin };
  const unlock = lockRun(run.path, (line) => options.reporter.log(line));
  try {
    const report = finishedReport(run, record, config);
    if (!report) return await inOldRun(run, record, config, options, perform);
    options.reporter.log(`${run.path} has finished: there is nothing left to do.`);
    saveReport(run, { ...report });
    return { json: { ...report }, text: reportText(report) };
  } finally {
    unlock();
  }
}

/** All phases of a run, as its command has them; those that a resumed run has finished give what they gave then. */
async function perform(session: Session): Promise<JobResult> {
  const { config, record, run } = session;
  if (record.command === "train") {
    const { genotype } = record;
    await saveGenotype(run, genotype ?? drawRandomCell(session, 1).genotype);
    const only = genotype
      ? await runTraining(session, { cell: "found", genotype })
      : await trainRandom(session, 1);
    return finish(session, { trained: [only] });
  }
  const search = await runSearch(session);
  if (record.command === "search") return finish(session, { search, trained: [] });
  const trained = [await runTraining(session, { cell: "found", genotype: search.genotype })];
  for (let i = 1; i <= config.train.randomCells; i++) trained.push(await trainRandom(session, i));
  return finish(session, { search, trained });
}

/** Measures a trained network of a run on the test images. */
export async function testCommand(config: Config, options: TestOptions): Promise<JobResult> {
  const { cell, checkpoint, reporter, signal } = options;
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
  const { dataset, test, summary } = await loadData({ ...config, data }, reporter, signal).catch((error) => {
    throw signal?.aborted ? new Interruption(undefined, signal.reason) : error;
  });
  const own = readEvents(run.files.events).find((event) => event.type === "run-start")?.data;
  if (own) requireSameImages(summary, own, options.run);
  using network = createNetwork(genotype, config, dataset);
  scope(() => network.loadStateDict(loadWeights(path)));
  // Images are normalised as they were for the training, whatever other images the data hold.
  const { mean, std } = own ?? dataset;
  const measured = await evaluateUntilTold(
    network,
    test.open("darts test"),
    { mean, std, batchSize: imagesAtOnce(config.train), device: config.device },
    { signal, run: undefined },
  );
  const text =
    `${cell} (${options.weights ?? checkpoint}) on ${measured.images} test images: ` +
    `top-1 ${percent(measured.top1)}, top-5 ${percent(measured.top5)}, loss ${measured.loss.toFixed(4)}`;
  return { json: { run: options.run, cell, weights: path, ...measured }, text };
}

/** What a run, a search or a training of a cell would need, without doing it. */
export async function planCommand(
  config: Config,
  { work, probeSteps, reporter }: PlanOptions,
): Promise<JobResult> {
  const asked = await intentOf(work);
  checkConfig(config, asked);
  prepareRuntime(config);
  const { dataset } = await loadData(config, reporter);
  checkData(config, dataset, asked);
  // Which cell a budget lets be drawn depends on the images.
  const trains = work === "random" && drawRandomCell({ config, dataset }, 1).genotype;
  const intent = trains ? { ...asked, trains } : asked;
  const subject = { config, data: dataset, intent };
  const plan = makePlan(subject);
  requireMemory(plan, subject);
  const known = probeSteps > 0 ? timePlan(plan, subject, probeSteps) : plan;
  return { json: planJson(known), text: planText(known) };
}

/** `run`, `search`, or a cell as `darts train` takes it. */
async function intentOf(work: string): Promise<Intent> {
  if (work === "run") return { searches: true, trains: "found" };
  if (work === "search") return { searches: true };
  return { searches: false, trains: work === "random" ? "found" : await readGenotypeSource(work) };
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

/** The genotype of the epoch that a search took (its last so far while it goes on), or of another one: as its method derived it and the event log holds it. */
export async function deriveCommand({ run: path, epoch }: DeriveOptions): Promise<JobResult> {
  const run = openRun(path);
  const events = readEvents(run.files.events);
  const epochs = events.filter((event) => event.type === "search-epoch");
  // A search that is over has chosen its epoch.
  const end = events.find((event) => event.type === "search-end");
  const chosen = findEpoch(epochs, epoch ?? end?.outcome.selection.epoch, path);
  const genotype = checkGenotype(chosen.genotype);
  await saveGenotype(run, genotype, epoch === undefined ? "" : `epoch-${epoch}-`);
  const { normal, reduce } = genotype;
  return {
    json: { epoch: chosen.epoch, normal, reduce, genotype: formatGenotype(genotype) },
    text: `${cellText(genotype)}\n\n${formatGenotype(genotype)}`,
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

function finish(session: Session, outcome: Pick<RunReport, "search" | "trained">): JobResult {
  const { run, events, test, past, summary } = session;
  // Also those who looked before an interruption.
  const before = past.flatMap((event) => (event.type === "train-end" ? [reportOf(event.outcome.cell)] : []));
  const report: RunReport = {
    ...outcome,
    run: run.path,
    data: summary,
    testImages: test.count,
    testOpenedBy: [...before, ...test.openedBy],
    health: readEvents(run.files.events).filter((event) => event.type === "health"),
  };
  const json = { ...report };
  events.append({ type: "report", report: json });
  saveReport(run, json);
  return { json, text: reportText(report) };
}
