/** One act that a person began: whether it goes on, and what the gateway had against it, by field. */
import { ref } from 'vue'
import { Refused } from '../../shell/api'

/** `fields` are those that the form shows; what is said of any other stands above it. */
export function useSaving(fields: readonly string[]) {
  const busy = ref(false)
  const error = ref<unknown>(null)
  const wrong = ref<Record<string, string>>({})

  function clear(): void {
    error.value = null
    wrong.value = {}
  }

  /** The result, or undefined where it was refused. */
  async function run<T>(act: () => Promise<T>): Promise<T | undefined> {
    clear()
    busy.value = true
    try {
      return await act()
    } catch (refused) {
      const field = refused instanceof Refused ? (refused.param.split(/[.[]/)[0] ?? '') : ''
      if (refused instanceof Refused && fields.includes(field)) wrong.value = { [field]: plain(refused.message, field) }
      else error.value = refused
      return undefined
    } finally {
      busy.value = false
    }
  }

  return { busy, error, wrong, run, clear }
}

/** The gateway begins with the field's name, which stands beside it already. */
export const plain = (message: string, field: string): string => (message.startsWith(`${field}: `) ? message.slice(field.length + 2) : message)
