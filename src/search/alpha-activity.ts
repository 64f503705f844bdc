// Which alphas a search still listens to: the largest gradient of each since the epoch began. One that got exactly
// zero in every step is dead: its softmax is saturated, or no path leads from it to the loss.
import type { Gradients } from "../optim/optimizer.ts";
import type { Candidates } from "../space/candidates.ts";
import { aten } from "../tensor/aten.ts";
import { noGrad } from "../tensor/autograd.ts";
import { keep, scope } from "../tensor/scope.ts";
import type { Parameter, Tensor } from "../tensor/tensor.ts";

/** Largest absolute gradients over an epoch; two small operations a step for each alpha tensor. */
export class AlphaActivity {
  readonly #alphas: ReadonlyMap<string, Parameter>;
  /** Of each alpha tensor that was stepped; empty in an epoch that leaves the alphas alone. */
  readonly #largest = new Map<string, Tensor>();

  constructor(alphas: ReadonlyMap<string, Parameter>) {
    this.#alphas = alphas;
  }

  /** Takes in the gradients of one step, in the order of the alphas. */
  add(gradients: Gradients): void {
    noGrad(() =>
      scope(() => {
        for (const [i, [name, alpha]] of [...this.#alphas].entries()) {
          const gradient = gradients[i];
          const size = gradient ? aten.abs.default(gradient) : aten.zeros_like.default(alpha);
          const before = this.#largest.get(name);
          this.#set(name, before ? aten.maximum.default(before, size) : size);
        }
      }),
    );
  }

  /**
   * The dead alphas by name, and starts the next epoch: `alphas_normal[3][none, skip_connect]`, `alphas_reduce[0]`.
   * Alphas of candidates that are not open, and of edges with one candidate, have nothing to say.
   */
  takeDead(primitives: readonly string[], candidates: Candidates): string[] {
    const dead = [...this.#largest].flatMap(([name, largest]) =>
      deadOf(name, largest, primitives, candidates),
    );
    this.dispose();
    return dead;
  }

  /** What a checkpoint in the middle of an epoch holds. */
  tensors(): ReadonlyMap<string, Tensor> {
    return this.#largest;
  }

  restore(tensors: ReadonlyMap<string, Tensor>): void {
    this.dispose();
    for (const [name, value] of tensors) {
      const { device } = this.#alphas.get(name)!;
      this.#set(name, value.to({ device }).clone());
    }
  }

  dispose(): void {
    for (const tensor of this.#largest.values()) tensor.dispose();
    this.#largest.clear();
  }

  #set(name: string, value: Tensor): void {
    this.#largest.get(name)?.dispose();
    this.#largest.set(name, keep(value));
  }
}

/** Rows are edges, columns candidates; a whole dead edge is named once, and tensors of other shapes by their index. */
function deadOf(
  name: string,
  largest: Tensor,
  primitives: readonly string[],
  candidates: Candidates,
): string[] {
  const { shape } = largest;
  const [, cell, edge] = /_(normal|reduce)(?:\.(\d+))?$/.exec(name) ?? []; // one tensor a cell, or one an edge
  const open = (row: number) =>
    cell && shape.length === 2 ? candidates[cell as "normal" | "reduce"][row + Number(edge ?? 0)] : undefined;
  const numbers = largest.toNumbers();
  const columns = shape.length === 2 ? shape[1]! : 1;
  const dead: string[] = [];
  for (let row = 0; row * columns < numbers.length; row++) {
    const there = open(row);
    if (there && there.length < 2) continue;
    const zeros = numbers
      .slice(row * columns, (row + 1) * columns)
      .map((value, column) => value === 0 && (there?.includes(column) ?? true));
    if (!zeros.includes(true)) continue;
    const which = zeros.flatMap((zero, column) => (zero ? [primitives[column] ?? String(column)] : []));
    dead.push(
      which.length === (there?.length ?? columns)
        ? `${name}[${row}]`
        : `${name}[${row}][${which.join(", ")}]`,
    );
  }
  return dead;
}
