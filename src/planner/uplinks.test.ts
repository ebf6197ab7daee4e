import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { megabitsPerSecond } from "#base/units.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import { defaultLabTopology } from "#formats/topology.ts";
