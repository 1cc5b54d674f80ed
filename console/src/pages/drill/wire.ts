/** What `/admin/v1/drill` tells, as the server writes it. Times are in Unix seconds. */

export interface Scene {
  number: number
  fault: string
  route: string
  operation: string
  stream: boolean
  state: 'waiting' | 'playing' | 'kept' | 'broken'
}

export interface Drill {
  state: 'never' | 'running' | 'done' | 'failed' | 'stopped'
  started?: number
  ended?: number | null
  now?: number
  by?: string
  error?: string
  only?: string[]
  operation?: string
  done?: number
  total?: number
  scenes?: Scene[]
}

export interface Played {
  fault: string
  when: string
  route: string
  dialect: string
  operation: string
  stream: boolean
  clouds: Record<string, string>
  others: Record<string, string>
  alone: boolean
  kept: boolean
  promises: Record<string, boolean>
  broken: Record<string, string>
  answered_by: string
  first_event_s: number
  detect_s: number | null
  touched: number[]
  recovery_s: number | null
}

export interface Card {
  configuration: string
  when: string
  seconds: number
  kept: boolean
  settings: Record<string, number>
  clouds_invented: boolean
  scenes: Played[]
}

export interface Run {
  started: number
  ended: number
  by: string
  only: string[]
  operation: string
  card: Card
}

export interface Named {
  name: string
  zh: string
  en: string
}

export interface Fault extends Named {
  when: string
  faults: string[]
  counts: boolean
  streams_only: boolean
}

export interface Catalogue {
  faults: Fault[]
  moments: Named[]
  promises: Named[]
  operations: string[]
}
