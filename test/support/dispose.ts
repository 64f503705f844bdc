// What a test frees at the end of a block.

/** `value`, which `using` frees together with the others. */
export function disposing<T extends object>(value: T, ...owned: { dispose(): void }[]): T & Disposable {
  const free = () => {
    for (const owner of owned) owner.dispose();
  };
  return Object.assign(value, { [Symbol.dispose]: free });
}
