import { describeReenabling } from '../contract/reenabling.ts';
import { realServer } from './server.ts';

describeReenabling(realServer);
