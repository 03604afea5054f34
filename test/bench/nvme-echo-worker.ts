/** The floor of asking: a Worker that answers nothing to nothing. */
self.addEventListener("message", () => self.postMessage(0));
self.postMessage(0);
