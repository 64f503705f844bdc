// The convolutional genotypes that papers published, as data to compare with and to train.
// Written in a shorthand that shows the shape of a cell: `s3,1 s3,0 | sk,0 s3,1` is node 0 with
// sep_conv_3x3 of states 1 and 0, then node 1 with skip_connect of 0 and sep_conv_3x3 of 1.
// The parameter counts in counts.test.ts guard against slips of the pen.
import { nearest } from "../config/nearest.ts";
import { UserError } from "../errors.ts";
import type { Primitive } from "../space/primitives.ts";
import { FIXED_REDUCTION } from "./fixed-reduction.ts";
import { allNodes, type CellEdges, type Edge, type Genotype, nodesOfCell } from "./genotype.ts";
import { parseGenotype } from "./parse.ts";

/** A genotype with its published name and its source. */
export interface PublishedGenotype {
  readonly name: string;
  readonly paper: string;
  readonly genotype: Genotype;
}

const SHORTHAND: Readonly<Record<string, Primitive>> = {
  mp: "max_pool_3x3",
  ap: "avg_pool_3x3",
  sk: "skip_connect",
  s3: "sep_conv_3x3",
  s5: "sep_conv_5x5",
  s7: "sep_conv_7x7",
  d3: "dil_conv_3x3",
  d5: "dil_conv_5x5",
  c7: "conv_7x1_1x7",
};

const NASNET =
  "Zoph, Vasudevan, Shlens, Le: Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018";
const AMOEBANET =
  "Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search, AAAI 2019";
const DARTS = "Liu, Simonyan, Yang: DARTS: Differentiable Architecture Search, ICLR 2019";
const SNAS = "Xie, Zheng, Liu, Lin: SNAS: Stochastic Neural Architecture Search, ICLR 2019";
const GDAS = "Dong, Yang: Searching for a Robust Neural Architecture in Four GPU Hours, CVPR 2019";
const PDARTS = "Chen, Xie, Wu, Tian: Progressive Differentiable Architecture Search, ICCV 2019";
const PC_DARTS =
  "Xu et al.: PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search, ICLR 2020";
const SGAS = "Li et al.: SGAS: Sequential Greedy Architecture Search, CVPR 2020";
const DRNAS = "Chen et al.: DrNAS: Dirichlet Neural Architecture Search, ICLR 2021";

/** Every published genotype known here, oldest first. */
export const PUBLISHED_GENOTYPES: readonly PublishedGenotype[] = [
  publish("NASNet", NASNET, {
    normal: "s5,1 s3,0 | s5,0 s3,0 | ap,1 sk,0 | ap,0 ap,0 | s3,1 sk,1",
    reduce: "s5,1 s7,0 | mp,1 s7,0 | ap,1 s5,0 | sk,3 ap,2 | s3,2 mp,1",
    reduceConcat: [4, 5, 6],
  }),
  publish("AmoebaNet", AMOEBANET, {
    normal: "ap,0 mp,1 | s3,0 s5,2 | s3,0 ap,3 | s3,1 sk,1 | sk,0 ap,1",
    normalConcat: [4, 5, 6],
    reduce: "ap,0 s3,1 | mp,0 s7,2 | s7,0 ap,1 | mp,0 mp,1 | c7,0 s3,5",
    reduceConcat: [3, 4, 6],
  }),
  publish("DARTS_V1", `${DARTS} (first order)`, {
    normal: "s3,1 s3,0 | sk,0 s3,1 | sk,0 s3,1 | s3,0 sk,2",
    reduce: "mp,0 mp,1 | sk,2 mp,0 | mp,0 sk,2 | sk,2 ap,0",
  }),
  publish("DARTS_V2", `${DARTS} (second order)`, {
    normal: "s3,0 s3,1 | s3,0 s3,1 | s3,1 sk,0 | sk,0 d3,2",
    reduce: "mp,0 mp,1 | sk,2 mp,1 | mp,0 sk,2 | sk,2 mp,1",
  }),
  publish("SNAS_mild", `${SNAS} (mild constraint)`, {
    normal: "s3,0 s3,1 | sk,0 d3,1 | sk,0 sk,1 | sk,0 s3,1",
    reduce: "mp,0 mp,1 | mp,1 sk,2 | mp,1 sk,2 | mp,0 d5,2",
  }),
  publish("SNAS_moderate", `${SNAS} (moderate constraint)`, {
    normal: "d5,0 sk,1 | s3,0 sk,1 | sk,0 sk,1 | s3,0 d5,1",
    reduce: "mp,0 mp,1 | s5,0 d5,1 | s5,0 s5,1 | s5,0 s5,1",
  }),
  publish("GDAS_V1", GDAS, {
    normal: "sk,0 sk,1 | sk,0 s5,2 | s3,3 sk,0 | s5,4 s3,3",
    reduce: "s5,0 s3,1 | s5,2 s5,1 | d5,2 s3,1 | s5,0 s5,1",
  }),
  publish("GDAS_F1", `${GDAS} (fixed reduction cell)`, {
    normal: "sk,0 sk,1 | sk,0 s3,2 | sk,0 s3,2 | sk,0 s3,2",
    ...FIXED_REDUCTION,
  }),
  publish("PDARTS", PDARTS, {
    normal: "sk,0 d3,1 | sk,0 s3,1 | s3,1 s3,3 | s3,0 d5,4",
    reduce: "ap,0 s5,1 | s3,0 d5,2 | mp,0 d3,1 | d3,1 d5,3",
  }),
  publish("PC_DARTS_cifar", `${PC_DARTS} (searched on CIFAR-10)`, {
    normal: "s3,1 sk,0 | s3,0 d3,1 | s5,0 s3,1 | ap,0 d3,1",
    reduce: "s5,1 mp,0 | s5,1 s5,2 | s3,0 s3,3 | s3,1 s3,2",
  }),
  publish("PC_DARTS_image", `${PC_DARTS} (searched on ImageNet)`, {
    normal: "sk,1 s3,0 | s3,0 sk,1 | s3,1 s3,3 | s3,1 d5,4",
    reduce: "s3,0 sk,1 | d5,2 mp,1 | s3,2 s3,1 | s5,0 s3,3",
  }),
  publish("SGAS_Cri1_CIFAR_1", `${SGAS} (criterion 1)`, {
    normal: "sk,0 s3,1 | s3,0 s5,1 | s3,1 s3,2 | d5,2 d3,3",
    reduce: "mp,0 d3,1 | s3,0 s5,2 | mp,1 sk,2 | sk,2 sk,3",
  }),
  publish("SGAS_Cri2_CIFAR_1", `${SGAS} (criterion 2)`, {
    normal: "s3,0 s3,1 | s5,0 s5,1 | sk,0 s5,2 | s3,1 d5,2",
    reduce: "mp,0 s5,1 | mp,1 s3,2 | mp,0 s3,3 | s3,0 d5,2",
  }),
  publish("DrNAS_cifar10", `${DRNAS} (searched on CIFAR-10)`, {
    normal: "s3,0 s5,1 | s3,1 s3,2 | sk,0 s3,1 | s3,2 d5,3",
    reduce: "mp,0 s5,1 | d5,2 s5,1 | s5,1 d5,3 | sk,4 s5,1",
  }),
];

/**
 * A published genotype by its name (upper or lower case, "-" or "_"; DARTS is DARTS_V2), or the genotype that
 * the text spells out as for {@link parseGenotype}. Throws a UserError for a name that is not known.
 */
export function findGenotype(nameOrText: string): Genotype {
  if (/[({[|]/.test(nameOrText)) return parseGenotype(nameOrText);
  const key = (name: string) => name.trim().toLowerCase().replaceAll("-", "_");
  const wanted = key(nameOrText) === "darts" ? "darts_v2" : key(nameOrText);
  const found = PUBLISHED_GENOTYPES.find(({ name }) => key(name) === wanted);
  if (found) return found.genotype;

  const names = PUBLISHED_GENOTYPES.map(({ name }) => name);
  const near = nearest(wanted, names.map(key));
  const meant = near === undefined ? "" : `; did you mean ${names[names.map(key).indexOf(near)]}?`;
  throw new UserError(
    `genotype: got the name "${nameOrText}", expected one of ${names.join(", ")} or the text ` +
      `Genotype(normal=[…], …)${meant}`,
  );
}

interface Shorthand {
  normal: string;
  normalConcat?: readonly number[];
  reduce: string | CellEdges;
  reduceConcat?: readonly number[];
}

function publish(name: string, paper: string, shorthand: Shorthand): PublishedGenotype {
  const normal = expand(shorthand.normal);
  const reduce = typeof shorthand.reduce === "string" ? expand(shorthand.reduce) : shorthand.reduce;
  const { normalConcat = allNodes(normal.length / 2), reduceConcat = allNodes(nodesOfCell(reduce)) } =
    shorthand;
  return { name, paper, genotype: { normal, normalConcat, reduce, reduceConcat } };
}

function expand(cell: string): Edge[] {
  return cell.match(/\w+,\d/g)!.map((edge): Edge => [SHORTHAND[edge.slice(0, 2)]!, Number(edge.slice(3))]);
}
