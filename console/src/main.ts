import { createApp } from 'vue'
import App from './App.vue'
import './shell/base.css'
import { router } from './shell/router'

// Naive UI writes its styles when a component first shows, in elements that a strict content security policy would refuse:
// they get the word that the gateway put into this page.
const nonce = document.querySelector<HTMLElement>('meta[property="csp-nonce"]')?.nonce ?? ''
const create = document.createElement.bind(document)
document.createElement = ((name: string, options?: ElementCreationOptions) => {
  const element = create(name, options)
  if (nonce && name === 'style') element.nonce = nonce
  return element
}) as typeof document.createElement

createApp(App).use(router).mount('#app')
