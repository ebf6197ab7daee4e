import { blobExchangeConformance, blobStoreConformance } from "./conformance.ts";
import { FakeBlobExchange, FakeBlobStore } from "./fake.ts";
import type { FakeCloud } from "./fake.ts";

blobStoreConformance("in memory", async () => {
  const store = new FakeBlobStore();
  return {
    store,
    makeFile: async (name, content) => {
      const path = `${store.workshop}/${name}`;
      store.files.set(path, content);
      return path;
    },
    isFile: async (path) => store.files.has(path),
    read: async (path) => store.contents.get(`sha256:${path.slice("/blobs/".length)}`) ?? new Uint8Array(0),
    close: async () => {},
  };
});

blobExchangeConformance("in memory", async (count) => {
  const cloud: FakeCloud = new Map();
  const hosts = Array.from({ length: count }, () => {
    const store = new FakeBlobStore();
    return { store, exchange: new FakeBlobExchange(store, cloud) };
  });
  return { hosts, close: async () => {} };
});
