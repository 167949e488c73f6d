import { describeContract } from './contract.ts';
import { startEmbeddedServer } from './server.ts';

describeContract(startEmbeddedServer);
