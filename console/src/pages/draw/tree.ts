/** A drawing: pictures that came of one another. This is what is kept, and how it is read again. */
import type { Box } from './mask'
import type { Margins } from './sizes'

export type Operation = 'create' | 'redraw' | 'instruct' | 'extend' | 'vary' | 'upload'
const OPERATIONS: readonly string[] = ['create', 'redraw', 'instruct', 'extend', 'vary', 'upload']

/** One picture and where it came from. `created` is in Unix seconds, `seconds` how long it took. */
export interface Node {
  id: string
  parent: string | null
  sha256: string
  width: number
  height: number
  created: number
  operation: Operation
  prompt: string
  negative?: string
  model?: string
  size?: string
  quality?: string
  seed?: number
  upstream?: string
  tier?: string
  attempts?: string
  request?: string
  revised?: string
  seconds?: number
  provenance?: Record<string, unknown>
  margins?: Margins
  mask?: { sha256: string; share: number; box: Box }
  outside?: { pixels: number; changed: number }
}

export interface Drawing {
  nodes: Node[]
  current: string | null
}

/** A drawing as it was kept, and nothing of what it does not know: an older or newer page may have written it. */
export function restore(body: unknown): Drawing {
  const kept = (typeof body === 'object' && body !== null ? body : {}) as { nodes?: unknown; current?: unknown }
  const nodes = (Array.isArray(kept.nodes) ? kept.nodes : []).filter(isNode)
  const known = new Set(nodes.map((node) => node.id))
  for (const node of nodes) if (node.parent !== null && !known.has(node.parent)) node.parent = null
  const current = typeof kept.current === 'string' && known.has(kept.current) ? kept.current : (nodes.at(-1)?.id ?? null)
  return { nodes, current }
}

function isNode(value: unknown): value is Node {
  const node = value as Node
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof node.id === 'string' &&
    (node.parent === null || typeof node.parent === 'string') &&
    /^[0-9a-f]{64}$/.test(node.sha256) &&
    node.width > 0 &&
    node.height > 0 &&
    OPERATIONS.includes(node.operation) &&
    typeof node.prompt === 'string'
  )
}

export interface Row {
  node: Node
  /** How far it stands in: an only child stands below its parent, and goes no deeper. */
  depth: number
  branches: boolean
}

/** The tree as lines, each branch whole before the next one begins. */
export function rows(nodes: readonly Node[]): Row[] {
  const below = new Map<string | null, Node[]>()
  for (const node of nodes) below.set(node.parent, [...(below.get(node.parent) ?? []), node])
  const found: Row[] = []
  const walk = (node: Node, depth: number): void => {
    const children = below.get(node.id) ?? []
    found.push({ node, depth, branches: children.length > 1 })
    for (const child of children) walk(child, depth + (children.length > 1 ? 1 : 0))
  }
  for (const root of below.get(null) ?? []) walk(root, 0)
  return found
}

/** A picture with all that came of it. */
export function branch(nodes: readonly Node[], id: string): Set<string> {
  const found = new Set([id])
  for (let before = 0; before !== found.size; ) {
    before = found.size
    for (const node of nodes) if (node.parent !== null && found.has(node.parent)) found.add(node.id)
  }
  return found
}

/** Ours and what another window kept meanwhile: no picture of either is lost. */
export function merge(ours: Drawing, theirs: Drawing): Drawing {
  const mine = new Set(ours.nodes.map((node) => node.id))
  const nodes = [...ours.nodes, ...theirs.nodes.filter((node) => !mine.has(node.id))]
  return { nodes: nodes.sort((one, other) => one.created - other.created), current: ours.current ?? theirs.current }
}

/** A name for a drawing, of what was asked first. */
export function titled(prompt: string): string {
  const line = prompt.replace(/\s+/g, ' ').trim()
  return [...line].length > 40 ? `${[...line].slice(0, 39).join('')}…` : line
}
