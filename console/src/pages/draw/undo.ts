/** Steps back and forth between states, the newest `most` of them. */
export class Undo<T> {
  private past: T[] = []
  private future: T[] = []

  constructor(
    private present: T,
    private readonly most = 100,
  ) {}

  get now(): T {
    return this.present
  }

  get canUndo(): boolean {
    return this.past.length > 0
  }

  get canRedo(): boolean {
    return this.future.length > 0
  }

  /** A new state; what was undone before it is gone. */
  put(next: T): void {
    this.past.push(this.present)
    if (this.past.length > this.most) this.past.shift()
    this.present = next
    this.future = []
  }

  undo(): T {
    const before = this.past.pop()
    if (before !== undefined) {
      this.future.push(this.present)
      this.present = before
    }
    return this.present
  }

  redo(): T {
    const next = this.future.pop()
    if (next !== undefined) {
      this.past.push(this.present)
      this.present = next
    }
    return this.present
  }
}
