import { describeRoundTrip } from './round-trip.ts';
import { startEmbeddedServer } from './server.ts';

describeRoundTrip('the embedded cluster', startEmbeddedServer);
