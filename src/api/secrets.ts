import { z } from "zod";
import { done, jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";

const named = z.object({ name: z.string() });
const fieldsMax = 16;
const fieldLengthMax = 16 * 1024;

/** What other sides ask of those who fetch and bring files. Written, never read back. */
const secretSchema = z
  .record(z.string().regex(/^[a-zA-Z]{1,32}$/), z.string().max(fieldLengthMax))
  .refine((fields) => Object.keys(fields).length <= fieldsMax, { error: `at most ${fieldsMax} fields` })
  .meta({
    description: "user, password, privateKey, hostKey, accessKey, secretKey, sessionToken, region, endpoint",
  });

export const secretRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/secrets",
    id: "listSecrets",
    summary: "Names of all secrets",
    answer: jsonAnswer("Names only: what is in them is never told.", z.array(z.string())),
    handle: async ({ signal }, { service }) => ok(await service.jobs.secrets(signal)),
  }),
  route({
    method: "PUT",
    path: "/v1/secrets/{name}",
    id: "putSecret",
    summary: "Keep what another side asks of those who fetch and bring files",
    params: named,
    body: secretSchema,
    answer: { status: 204, about: "Kept." },
    handle: async ({ params, body, signal }, { service }) => {
      await service.jobs.setSecret(params.name, body, signal);
      return done;
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/secrets/{name}",
    id: "removeSecret",
    summary: "Forget a secret",
    params: named,
    answer: { status: 204, about: "Forgotten." },
    handle: async ({ params, signal }, { service }) => {
      await service.jobs.removeSecret(params.name, signal);
      return done;
    },
  }),
];
