// What every data set is once it is read: one block of bytes per split and its labels.

/** Images and labels of one split. */
export interface ImageSet {
  /** Pixels, 0…255, as [count, channels, height, width]. */
  readonly images: Uint8Array;
  /** Class index of each image, [count]. */
  readonly labels: Uint8Array | Uint16Array;
  readonly count: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /**
   * First of the images that its owner set apart for validation: they move the architecture, those before train
   * the weights. Absent: the run's own split decides.
   */
  readonly validFrom?: number;
}

/** A data set of images: its training and test images, its classes and its published statistics. */
export interface ImageDataset {
  readonly name: string;
  readonly classes: readonly string[];
  /** Mean of each channel over the training images, pixels scaled to 0…1. */
  readonly mean: readonly number[];
  /** Standard deviation of each channel, pixels scaled to 0…1. */
  readonly std: readonly number[];
  readonly train: ImageSet;
  readonly test: ImageSet;
}

/**
 * The same memory as a plain Uint8Array: a Node Buffer is one too, but its `slice` shares memory where that
 * of other typed arrays copies.
 */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
