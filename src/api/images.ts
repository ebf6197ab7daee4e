import { z } from "zod";
import { done, jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { ConsortError } from "#base/errors.ts";
import { bytes } from "#base/units.ts";
import { imageSpecDocument, imageSpecOf, imageSpecSchema } from "#formats/image-manifest.ts";
import type { Digest } from "#model/image.ts";
import {
  collectResultSchema,
  discoverSchema,
  imageStatusSchema,
  uploadParams,
  uploadPartSchema,
  uploadResultSchema,
} from "#protocol/http/image.ts";

const named = z.object({ name: z.string() });

export const imageRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/images",
    id: "listImages",
    summary: "The catalogue of images",
    answer: jsonAnswer("Every image, by name.", z.array(imageStatusSchema)),
    handle: async ({ signal }, { service }) => ok(await service.images(signal)),
  }),
  route({
    method: "GET",
    path: "/v1/images/{name}",
    id: "getImage",
    summary: "One image, and how far it is while it is brought in",
    params: named,
    answer: jsonAnswer("The image.", imageStatusSchema),
    handle: async ({ params, signal }, { service }) => ok(await service.image(params.name, signal)),
  }),
  route({
    method: "PUT",
    path: "/v1/images/{name}",
    id: "registerImage",
    summary: "Register an image; a host brings its content in",
    params: named,
    body: imageSpecSchema,
    answer: jsonAnswer("The image, registered and durable; not ready yet.", imageStatusSchema),
    handle: async ({ params, body, signal }, { service }) => {
      if (body.name !== params.name)
        throw new ConsortError(
          "bad_input",
          `Cannot register ${params.name}: its description is of ${body.name}`,
        );
      return ok(await service.registerImage(imageSpecOf(body), signal));
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/images/{name}",
    id: "removeImage",
    summary: "Remove an image from the catalogue; 409 while machines are made from it",
    params: named,
    answer: { status: 204, about: "Removed; its content goes from hosts that do not need it." },
    handle: async ({ params, signal }, { service }) => {
      await service.removeImage(params.name, signal);
      return done;
    },
  }),
  route({
    method: "POST",
    path: "/v1/images-discovered",
    id: "discoverImages",
    summary: "Images found at an address",
    body: discoverSchema,
    answer: jsonAnswer("Their descriptions, to be registered as they are.", z.array(imageSpecSchema)),
    handle: async ({ body, signal }, { service }) =>
      ok((await service.discoverImages(body, signal)).map(imageSpecDocument)),
  }),
  route({
    method: "POST",
    path: "/v1/content-collected",
    id: "collectContent",
    summary: "Have every host remove content that nobody needs",
    answer: jsonAnswer("What was removed.", collectResultSchema),
    handle: async ({ signal }, { service }) => ok(await service.collectContent(signal)),
  }),
  route({
    method: "PUT",
    path: "/v1/uploads/{digest}",
    id: "uploadPart",
    summary: "Bring a part of content; parts come in order, and tell where to go on",
    params: uploadParams,
    body: uploadPartSchema,
    answer: jsonAnswer("How much of it is there.", uploadResultSchema),
    handle: async ({ params, body, signal }, { service }) => {
      const { sizeBytes, fromByte, dataBase64, zeroBytes = 0 } = body;
      const blob = { digest: params.digest as Digest, sizeBytes: bytes(sizeBytes) };
      return ok(await service.uploadPart({ blob, fromByte, dataBase64, zeroBytes }, signal));
    },
  }),
];
