/** From scenes to the two pictures of them: the grid that fills while a drill goes on, and fault by promise. Pure. */
import type { Card, Catalogue, Drill, Fault, Played, Scene } from './wire'

export interface Column {
  key: string
  route: string
  operation: string
  stream: boolean
}

interface Shaped {
  route: string
  operation: string
  stream: boolean
}

export const key = (each: Shaped): string => `${each.route}\n${each.operation}\n${each.stream}`

export function columns(scenes: readonly Shaped[]): Column[] {
  const found = new Map<string, Column>()
  for (const { route, operation, stream } of scenes) {
    const name = key({ route, operation, stream })
    if (!found.has(name)) found.set(name, { key: name, route, operation, stream })
  }
  return [...found.values()]
}

export interface Row<Cell> {
  fault: Fault
  cells: Map<string, Cell>
}

/** By fault, in the catalogue's order: that in which an answer comes about. */
export function rows<Cell extends Shaped & { fault: string }>(scenes: readonly Cell[], catalogue: Catalogue): Row<Cell>[] {
  const found = new Map<string, Map<string, Cell>>()
  for (const scene of scenes) {
    const cells = found.get(scene.fault) ?? new Map<string, Cell>()
    cells.set(key(scene), scene)
    found.set(scene.fault, cells)
  }
  return catalogue.faults.flatMap((fault) => {
    const cells = found.get(fault.name)
    return cells ? [{ fault, cells }] : []
  })
}

export interface Count {
  kept: number
  all: number
}

/** Of every promise that applied to a scene: how many were kept. */
export function promises(scenes: readonly Played[], name = ''): Count {
  let kept = 0
  let all = 0
  for (const scene of scenes) {
    for (const [promise, good] of Object.entries(scene.promises)) {
      if (name && promise !== name) continue
      all += 1
      if (good) kept += 1
    }
  }
  return { kept, all }
}

export interface Verdict extends Count {
  fault: Fault
  scenes: Played[]
  byPromise: Map<string, Count>
  detect: number | null
  recovery: number | null
  alone: boolean
}

const worst = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((each) => each !== null)
  return known.length ? Math.max(...known) : null
}

export function verdicts(card: Card, catalogue: Catalogue): Verdict[] {
  return rows(card.scenes, catalogue).map(({ fault, cells }) => {
    const scenes = [...cells.values()]
    return {
      fault,
      scenes,
      ...promises(scenes),
      byPromise: new Map(catalogue.promises.map(({ name }) => [name, promises(scenes, name)])),
      detect: worst(scenes.map((each) => each.detect_s)),
      recovery: worst(scenes.map((each) => each.recovery_s)),
      alone: scenes.every((each) => each.alone),
    }
  })
}

/** Seconds that are left, guessed from those that went by; null while nothing can be told. */
export function left(drill: Drill): number | null {
  const { started, now, done, total } = drill
  if (!started || !now || !total || !done || done < total * 0.05) return null
  return Math.max(1, ((now - started) / done) * (total - done))
}

export const playing = (scenes: readonly Scene[]): Scene[] => scenes.filter((each) => each.state === 'playing')

/** The faults by the moment at which they strike. */
export function groups(catalogue: Catalogue): { moment: Catalogue['moments'][number]; faults: Fault[] }[] {
  return catalogue.moments.map((moment) => ({ moment, faults: catalogue.faults.filter((each) => each.when === moment.name) }))
}
