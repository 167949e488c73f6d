/** `npm run schemas`: writes docs/schemas from the schemas of the code. A test fails while they are out of date. */
import { mkdirSync, writeFileSync } from 'node:fs';
import * as z from 'zod/mini';
import { payloadSchema } from '../functions/backfill/backfill.ts';
import { doctorReportSchema } from '../functions/doctor/report.ts';
import { enrollmentRequestSchema } from '../functions/enroll/enroll.ts';
import { enrollmentReportSchema } from '../functions/enrollment/enroll-clusters.ts';
import { QUEUED_DETAILS } from '../functions/events/queued-event.ts';
import { OUTCOME_DETAILS, runReportSchema, sweepReportSchema } from '../functions/events/report.ts';

export const SCHEMAS_FOLDER = 'docs/schemas';

/** The JSON Schema documents, by file name. */
export function schemaDocuments(): Map<string, string> {
  const schemas = {
    'backfill-payload': payloadSchema,
    'change-event-detail': QUEUED_DETAILS['Envoy Gateway Configuration Changed'],
    'enrollment-payload': enrollmentRequestSchema,
    'enrollment-report': enrollmentReportSchema,
    'heartbeat-detail': QUEUED_DETAILS.Heartbeat,
    'sweep-report': sweepReportSchema,
    'run-report': runReportSchema,
    'sweep-request-detail': QUEUED_DETAILS['Cluster Sweep Requested'],
    'doctor-report': doctorReportSchema,
    ...Object.fromEntries(
      Object.entries(OUTCOME_DETAILS).map(([type, schema]) => [
        `${type.toLowerCase().replaceAll(' ', '-')}-detail`,
        schema,
      ]),
    ),
  };
  return new Map(
    // As input: readers accept unknown fields.
    Object.entries(schemas).map(([name, schema]) => [
      `${name}.schema.json`,
      `${JSON.stringify(z.toJSONSchema(schema, { io: 'input' }), null, 2)}\n`,
    ]),
  );
}

if (import.meta.main) {
  mkdirSync(SCHEMAS_FOLDER, { recursive: true });
  for (const [file, text] of schemaDocuments()) writeFileSync(`${SCHEMAS_FOLDER}/${file}`, text);
}
