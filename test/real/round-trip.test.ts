import { describeRoundTrip } from '../contract/round-trip.ts';
import { realServer } from './server.ts';

describeRoundTrip('kube-apiserver', realServer);
