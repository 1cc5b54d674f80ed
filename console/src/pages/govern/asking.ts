/** Questions before what cannot be undone, and what the gateway says after. */
import { Refused } from '../../shell/api'
import { useHouse } from './registry'
import { t } from './words'

export function useAsking() {
  const house = useHouse()

  const done = (text: string): void => house.tell(text)
  const complain = (error: unknown): void => house.tell(error instanceof Refused ? error.message : t('away'), 'error')

  /** Asks; then acts, and says what is done or what was refused. */
  function confirm(title: string, content: string, word: string, act: () => Promise<unknown>, after: string): void {
    const sure = async (): Promise<void> => {
      try {
        await act()
        done(after)
      } catch (error) {
        complain(error)
      }
    }
    house.question.value = { title, content, word, act: sure }
  }

  /** What the gateway remarks on what it stored; that it is stored, where there is nothing to remark. */
  const notes = (texts: readonly string[] | undefined): void => {
    if (texts?.length) house.tell(`${t('saved')}. ${texts.join('\n')}`, 'warning')
    else done(t('saved'))
  }
  return { confirm, complain, done, notes, tell: house.tell }
}
