/** How much a policy document may hold. */

export const MAX_DEPTH = 100;
/** Nodes of the tree, once aliases are expanded. */
export const MAX_NODES = 200_000;
/** Nodes that exist only because an alias repeats them. */
export const MAX_ALIAS_NODES = 10_000;
