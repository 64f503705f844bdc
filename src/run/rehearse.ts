// The memory of a search or a training, by rehearsal: the very code of the run makes a few steps on a few noise images
// while libtorch's allocator counts, and the count goes on in proportion to the images. So whatever a cell is computed
// by, and whatever a method keeps, is in the forecast without being written down a second time.
import type { Config } from "../config/schema.ts";
import type { ImageDataset, ImageSet } from "../data/dataset.ts";
import type { Genotype } from "../genotype/genotype.ts";
import type { Module } from "../nn/module.ts";
import { createGenerator } from "../random/generator.ts";
import { buildMethod } from "../search/build.ts";
import type { SearchMethod } from "../search/method.ts";
import { Search } from "../search/search.ts";
import { type SearchShape, shapeOf } from "../search/shape.ts";
import { isOneLevel } from "../search/splits.ts";
import { releaseKernelMemory } from "../space/fused-cell.ts";
import { operator } from "../tensor/aten.ts";
import { Training } from "../train/training.ts";
import { heldBytes, memoryFor, memoryLimit, type TensorBytes, tensorRoom } from "./memory.ts";

/** What a rehearsal must know of the data: their shape, classes and statistics. */
export type Images = Pick<ImageDataset, "name" | "classes" | "mean" | "std"> & {
  readonly train: Pick<ImageSet, "channels" | "height" | "width">;
};

/** How many images go through the network: in a batch, at once, and in an epoch's last batch. */
export interface Load {
  readonly batch: number;
  /** Of a micro-batch; the batch's without any. */
  readonly atOnce: number;
  /** Images of the last batch when it is not full, else 0: it asks the kernels for blocks of other sizes. */
  readonly last: number;
}

/** What rehearsals found: the line of the tensors' memory over the images at once, and the weights. */
export interface Rehearsal {
  /** Memory in bytes for the tensors that are alive at one time, at most, with so many images at once. CPU only. */
  bytes(atOnce: number): number;
  /** The most images at once that `limit` bytes hold; below 1 when not even one fits. */
  mostImages(limit: number): number;
  /** Weights of the network, auxiliary head included, alphas not. */
  readonly params: number;
}

/** Images at once in the rehearsals; the last two give the line. The kernels divide 8 images and more alike. */
const SIZES = [2, 8, 16] as const;

/** The load of an epoch of `images` images. */
export function loadOf(
  { batchSize, microBatch }: { batchSize: number; microBatch: number | null },
  images: number,
): Load {
  const batch = Math.min(batchSize, images);
  const parts = Math.ceil(batch / (microBatch ?? batch));
  return { batch, atOnce: Math.ceil(batch / parts), last: images % batch };
}

/** Rehearses a search: two epochs' ways through steps, last batch and validation. */
export function rehearseSearch(config: Config, images: Images, load: Load): Rehearsal {
  const shapes = rehearsedShapes(config, images);
  const found = shapes.map((_, i) => rehearseShape(config, images, { load, rehearsal: i }));
  // Larger batches grow the images at once, unless micro-batches bound them.
  const factors = shapes.map(({ batchSize }) =>
    config.search.microBatch === null ? batchSize / config.search.batchSize : 1,
  );
  return {
    params: Math.max(...found.map(({ params }) => params)),
    bytes: (atOnce) => Math.max(...found.map((one, i) => one.bytes(Math.ceil(atOnce * factors[i]!)))),
    mostImages: (limit) =>
      Math.min(...found.map((one, i) => Math.floor(one.mostImages(limit) / factors[i]!))),
  };
}

/** The shapes in which a search may take the most memory or time; one where its method does not change it. */
export function rehearsedShapes(config: Config, images: Images): readonly SearchShape[] {
  const dataset = noise(images, 1);
  const withMethod = <T>(use: (method: SearchMethod) => T): T => {
    const method = buildMethod(config, dataset, createGenerator(0, "rehearsal/method"));
    try {
      return use(method);
    } finally {
      for (const alpha of method.alphas.values()) alpha.dispose();
    }
  };
  const count = withMethod(({ rehearsals }) => rehearsals?.length ?? 1);
  return Array.from({ length: count }, (_, i) =>
    withMethod((method) => {
      method.rehearsals?.[i]?.();
      return shapeOf(config, method);
    }),
  );
}

function rehearseShape(
  config: Config,
  images: Images,
  { load, rehearsal }: { load: Load; rehearsal: number },
): Rehearsal {
  const oneLevel = isOneLevel(config);
  return rehearse(load, roomOf(config), ({ batch, atOnce, last }) => {
    const count = batch + last;
    const settings = {
      ...config,
      data: { ...config.data, weightsShare: 0.5 },
      search: { ...config.search, ...small(batch, atOnce), trainImages: null, archFromEpoch: 0 },
    };
    using search = new Search(settings, noise(images, oneLevel ? count : 2 * count), { rehearsal });
    search.epoch = config.search.epochs - 1; // drop-path at its strongest
    while (search.step < search.stepsPerEpoch) search.runStep();
    search.validate();
    const { eigenvalueEvery, hessian } = config.guard;
    if (search.method.wantsEigenvalue || eigenvalueEvery > 0) search.eigenvalue(hessian, { products: 1 });
    search.step = 0;
    search.runStep(); // with the optimizers' state, and after blocks of other sizes
    return sizeOf(search.supernet);
  });
}

/** Rehearses a training of `genotype`. */
export function rehearseTraining(config: Config, genotype: Genotype, images: Images, load: Load): Rehearsal {
  return rehearse(load, roomOf(config), ({ batch, atOnce, last }) => {
    const train = { ...config.train, ...small(batch, atOnce) };
    using training = new Training({ ...config, train }, genotype, noise(images, batch + last));
    training.epoch = train.epochs - 1; // drop-path at its strongest
    while (training.step < training.stepsPerEpoch) training.runStep();
    training.step = 0;
    training.runStep();
    return sizeOf(training.network);
  });
}

/** Bytes of tensors that a rehearsal may take. */
function roomOf(config: Config): number {
  return tensorRoom(heldBytes(), memoryLimit(config).bytes);
}

/** Settings of a small load. The learning rate is too small to diverge and not zero, which would spare passes. */
function small(batch: number, atOnce: number) {
  const microBatch = atOnce < batch ? atOnce : null;
  return { batchSize: batch, microBatch, learningRate: 1e-4, learningRateMin: 1e-4 };
}

function sizeOf(network: Module): number {
  return network.parameters().reduce((sum, { numel }) => sum + numel, 0);
}

/** A count: images at once and bytes. */
interface Point {
  readonly size: number;
  readonly bytes: number;
}

/** Counts at growing sizes, up to the load's own, as long as they fit in `room`; the last two give the line. */
function rehearse(load: Load, room: number, steps: (load: Load) => number): Rehearsal {
  let params = 0;
  const at = (size: number): Point => {
    const counted = countTensors(() => {
      params = steps(scaled(load, size));
    });
    return { size, bytes: memoryFor(counted) };
  };
  const points = [at(Math.min(SIZES[0], load.atOnce))];
  for (const size of SIZES.slice(1)) {
    const next = Math.min(size, load.atOnce);
    const last = points.at(-1)!;
    if (next === last.size) break;
    if (lineThrough(points)(next) <= room) points.push(at(next));
    // Too much already: twice the smallest is the second point.
    else if (points.length === 1) points.push(at(Math.min(2 * last.size, next)));
    else break;
  }
  const bytes = lineThrough(points.slice(-2));
  const slope = bytes(1) - bytes(0);
  return {
    params,
    bytes: (atOnce) => Math.round(bytes(atOnce)),
    mostImages: (limit) => Math.floor((limit - bytes(0)) / slope),
  };
}

/** The line through the first and the last point; from one point alone, through zero, which is above the truth. */
function lineThrough(points: readonly Point[]): (size: number) => number {
  const [a, b] = [points[0]!, points.at(-1)!];
  const slope = a === b ? b.bytes / b.size : Math.max(1, (b.bytes - a.bytes) / (b.size - a.size));
  return (size) => b.bytes + slope * (size - b.size);
}

/** The load with `atOnce` images at once: at most two micro-batches, and the last batch in proportion. */
function scaled({ batch, atOnce, last }: Load, size: number): Load {
  const parts = Math.min(2, Math.ceil(batch / atOnce));
  const proportional = Math.ceil((last / batch) * parts * size);
  // Not one image where the run has more: alone it may have no batch statistics.
  return { batch: parts * size, atOnce: size, last: Math.max(proportional, Math.min(last, 2)) };
}

/** The largest number of bytes that `work` had in tensors of its own at one time, and the pool's part of it. */
export function countTensors(work: () => void): TensorBytes {
  releaseKernelMemory();
  if (!(operator("darts::start_counting")() as boolean)) {
    throw new Error("memory is being counted already, or libtorch's allocator cannot be counted");
  }
  let peak: number[] = [];
  try {
    work();
  } finally {
    peak = operator("darts::stop_counting")() as number[];
    releaseKernelMemory();
    operator("darts::trim_heap")();
  }
  const [bytes, pooled] = peak as [number, number];
  return { bytes, pooled };
}

/** `count` noise images of the shape of `images`. */
export function noise({ train, ...rest }: Images, count: number): Omit<ImageDataset, "test"> {
  const { channels, height, width } = train;
  const generator = createGenerator(0, "rehearsal");
  const images = Uint8Array.from({ length: count * channels * height * width }, () => generator.int(0, 255));
  const labels = Uint16Array.from({ length: count }, (_, n) => n % rest.classes.length);
  return { ...rest, train: { images, labels, count, channels, height, width } };
}
