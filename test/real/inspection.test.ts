import { describeInspection } from '../contract/inspection.ts';
import { realServer } from './server.ts';

describeInspection('doctor on kube-apiserver', realServer);
