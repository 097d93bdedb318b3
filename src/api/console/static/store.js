// Conversations, kept in this browser alone (IndexedDB).
const opened = new Promise((resolve, reject) => {
  const asked = indexedDB.open("stoker", 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore("conversations", { keyPath: "id" });
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});

async function run(mode, act) {
  const store = (await opened).transaction("conversations", mode).objectStore("conversations");
  return new Promise((resolve, reject) => {
    const asked = act(store);
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

export const keep = (conversation) => run("readwrite", (store) => store.put(conversation));
export const remove = (id) => run("readwrite", (store) => store.delete(id));
export const list = async () => (await run("readonly", (store) => store.getAll())).sort((a, b) => b.changed - a.changed);
