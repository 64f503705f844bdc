// Sums over the batches of an epoch, from which its means are taken.

/** Sums so far; loss is weighted by the images of each batch. */
export interface Totals {
  loss: number;
  correct: number;
  images: number;
}

export function emptyTotals(): Totals {
  return { loss: 0, correct: 0, images: 0 };
}

/** Means over the images so far; accuracy is 0…1. */
export function meansOf({ loss, correct, images }: Totals): {
  readonly loss: number;
  readonly accuracy: number;
} {
  return { loss: loss / images, accuracy: correct / images };
}

/** Adds a batch of `images` images with mean loss `loss`. */
export function addStep(totals: Totals, loss: number, correct: number, images: number): void {
  totals.loss += loss * images;
  totals.correct += correct;
  totals.images += images;
}
