import { describeContract } from '../contract/contract.ts';
import { realServer } from './server.ts';

describeContract(realServer);
