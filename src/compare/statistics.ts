// What a few numbers with chance in them say: mean and spread, Welch's test of a difference, Holm's correction for many
// tests. Student's distribution comes from the regularised incomplete beta function (continued fraction, modified
// Lentz's method: Press et al., Numerical Recipes, section 6.4).

/** Numbers of one kind: how many, their mean, and their standard deviation as a sample's (n − 1), which one number has not. */
export interface Sample {
  readonly n: number;
  readonly mean: number;
  readonly sd: number | null;
}

/** The difference of two means, and how sure it is. */
export interface Difference {
  readonly difference: number;
  /** Of the difference, from both spreads. */
  readonly standardError: number;
  /** Degrees of freedom by Welch and Satterthwaite: no whole number. */
  readonly degrees: number;
  readonly t: number;
  /** Probability of a difference as large or larger, either way, were there none. */
  readonly p: number;
  /** The 95 % confidence interval of the difference. */
  readonly interval: readonly [low: number, high: number];
}

/** The sample that `values` are; null for none. */
export function sampleOf(values: readonly number[]): Sample | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { n, mean, sd: n === 1 ? null : Math.sqrt(squares / (n - 1)) };
}

/**
 * Welch's t-test of `a` minus `b`, whose variances may differ (Biometrika 34, 1947); null where there is no spread to
 * measure by: fewer than two numbers on a side, or all of them equal.
 */
export function welch(a: Sample, b: Sample): Difference | null {
  if (a.sd === null || b.sd === null) return null;
  const [ofA, ofB] = [a.sd ** 2 / a.n, b.sd ** 2 / b.n];
  if (ofA + ofB === 0) return null;
  const standardError = Math.sqrt(ofA + ofB);
  const degrees = (ofA + ofB) ** 2 / (ofA ** 2 / (a.n - 1) + ofB ** 2 / (b.n - 1));
  const difference = a.mean - b.mean;
  const t = difference / standardError;
  const reach = standardError * studentQuantile(0.975, degrees);
  return {
    difference,
    standardError,
    degrees,
    t,
    p: twoSided(t, degrees),
    interval: [difference - reach, difference + reach],
  };
}

/** The probability that |T| ≥ |t| under Student's distribution. */
export function twoSided(t: number, degrees: number): number {
  return incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5);
}

/** The t below which Student's distribution has the probability `p` of ½ to 1, by bisection. */
export function studentQuantile(p: number, degrees: number): number {
  const above = (t: number) => twoSided(t, degrees) / 2;
  let [low, high] = [0, 1];
  while (above(high) > 1 - p) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (above(middle) > 1 - p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The p of several tests so that all of them together err with that probability (Holm 1979), in their order. */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((_, i) => i).sort((i, j) => ps[i]! - ps[j]!);
  const corrected = new Array<number>(ps.length);
  let largest = 0;
  for (const [rank, i] of order.entries()) {
    largest = Math.min(1, Math.max(largest, ps[i]! * (ps.length - rank)));
    corrected[i] = largest;
  }
  return corrected;
}

/** I_x(a, b), from the side on which its fraction converges fast. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  const logFactor = logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x);
  return x < (a + 1) / (a + b + 2)
    ? (Math.exp(logFactor) * betaFraction(x, a, b)) / a
    : 1 - (Math.exp(logFactor) * betaFraction(1 - x, b, a)) / b;
}

function betaFraction(x: number, a: number, b: number): number {
  const tiny = 1e-300; // Lentz: in place of a zero
  const apart = (value: number) => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / apart(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= 1000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let step = 1;
    for (const term of [even, odd]) {
      d = 1 / apart(1 + term * d);
      c = apart(1 + term / c);
      step = c * d;
      fraction *= step;
    }
    if (Math.abs(step - 1) < 1e-15) break;
  }
  return fraction;
}

/** ln Γ(x) for x > 0: Stirling's series, after x was raised above 10. */
function logGamma(x: number): number {
  let shift = 0;
  let z = x;
  for (; z < 10; z++) shift += Math.log(z);
  const inverse = 1 / (z * z);
  const series =
    (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188)))) / z;
  return (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + series - shift;
}
