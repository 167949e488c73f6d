/** What an emulator cannot do. */
interface Limits {
  /** The types of which it creates no resource; test/unit/infra checks their properties. */
  types: readonly string[];
  others: readonly string[];
}

export const MOTO: Limits = {
  types: [
    'AWS::CloudFormation::CustomResource',
    'AWS::Lambda::EventInvokeConfig',
    'AWS::Logs::QueryDefinition',
    'AWS::Logs::SubscriptionFilter',
    'AWS::Scheduler::Schedule',
    'AWS::CloudWatch::Alarm',
    'AWS::SQS::QueuePolicy',
    'AWS::Events::EventBusPolicy',
    'AWS::SNS::Subscription',
    'AWS::SNS::TopicPolicy',
  ],
  others: [
    'A rule cannot refer to its bus by `Ref`; here it refers to it by `GetAtt Name`, which is the same (moto.ts).',
    'AWS::NoValue in a list becomes an element, so the optional policies of the roles are left out.',
    'It finds a template by its URL only if that contains "localhost", hence the name of the bucket.',
    'Its update of a stack cannot change a log group, and takes each parameter that keeps its default for changed. So a log group refers to no parameter.',
    'It checks no permission and no AllowedPattern, and never rolls back.',
  ],
};

/** Its own word for a type is "not supported but was deployed as a fallback". It takes the template as it is. */
export const LOCALSTACK: Limits = {
  types: [
    'AWS::CloudFormation::CustomResource',
    'AWS::CloudWatch::Dashboard',
    'AWS::Logs::QueryDefinition',
    'AWS::Logs::ResourcePolicy',
  ],
  others: [
    'It runs functions in Docker only; here they run in Node processes (localstack_server.py). EKS is a double.',
    'A subscription filter matches every line, so `forward` gets more than in AWS.',
    'Log groups have no retention and no key.',
    'There is no network that a function could be in.',
    'An input transformer fails on a number inside of a sentence (TypeError), so the topic gets no notification of a sweep.',
    'A schedule cannot be updated: its provider raises NotImplementedError, and the stack is updated all the same. It ignores a DeletionPolicy.',
    'It checks no permission, no schedule comes round, and an alarm on an expression or a query is not evaluated.',
  ],
};
