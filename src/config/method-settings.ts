// What a configuration says about its search method, checked against what the method declares: that there is such
// a method, that it defines the order, and that the options are its own. All sources are joined by then, because
// the method may be named in another place than its options.
import { UserError } from "../errors.ts";
import type { MethodDeclaration, Order } from "../methods/declaration.ts";
import { findMethod } from "../methods/table.ts";
import { explain, type Locate, pathOf, type Settings } from "./check.ts";
import { configKey, OPTIONS, optionKeys } from "./keys.ts";
import { nearest } from "./nearest.ts";

/**
 * The settings with the method's own order where none is given, and with all of its options. Throws a
 * {@link UserError} with the place of the mistake, the method, and what it has instead.
 */
export function completeMethod(settings: Settings, locate: Locate): Settings {
  const search = (settings["search"] ?? {}) as Settings;
  const method = methodOf(search, locate);
  const order = (search["order"] ?? method.orders[0]) as Order;
  checkOrder(method, order, locate);
  const options = completeOptions(method, (search["options"] ?? {}) as Settings, locate);
  const select = search["select"] ?? method.select;
  return { ...settings, search: { ...search, order, options, ...(select !== undefined && { select }) } };
}

function methodOf(search: Settings, locate: Locate): MethodDeclaration {
  const name = search["method"] ?? configKey("search.method")!.default;
  try {
    return findMethod(String(name));
  } catch (error) {
    throw new UserError(`${locate(["search", "method"])}: ${(error as Error).message}`);
  }
}

function checkOrder({ name, orders, refusals }: MethodDeclaration, order: Order, locate: Locate): void {
  if (orders.includes(order)) return;
  const reason = refusals?.[order];
  throw new UserError(
    `${locate(["search", "order"])}: search.order is ${order}, which ${name} does not define` +
      `${reason ? `: ${reason}` : ""}. It has: ${orders.join(", ")}.`,
  );
}

function completeOptions(method: MethodDeclaration, options: Settings, locate: Locate): Settings {
  for (const name of Object.keys(options)) checkName(method, name, locate);
  const result = method.options.safeParse(options);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const path = ["search", "options", ...pathOf(issue)];
  const key = optionKeys(method.name).find((known) => known.path === path.slice(0, 3).join("."));
  throw new UserError(`${locate(path)}: ${explain(issue, { path, key, settings: { search: { options } } })}`);
}

function checkName({ name: method, options }: MethodDeclaration, name: string, locate: Locate): void {
  const own = Object.keys(options.shape);
  if (own.includes(name)) return;
  const others = optionKeys().filter(({ path }) => path === `${OPTIONS}.${name}`);
  const owners = others.length ? ` It belongs to ${others.map((key) => key.method).join(", ")}.` : "";
  const near = nearest(name, own);
  const guess = near ? ` Did you mean ${OPTIONS}.${near}?` : "";
  const has = own.length ? `It has: ${own.join(", ")}.` : "It has none.";
  throw new UserError(
    `${locate(["search", "options", name])}: ${method} has no option ${name}. ${has}${guess}${owners}`,
  );
}
