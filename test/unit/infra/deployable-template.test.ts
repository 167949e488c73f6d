import { describe, expect, it } from 'vitest';
import { deployableTemplate, type Template, zipsOf } from '../../../infra/template.ts';

const BUCKET = { Ref: 'ServerlessDeploymentBucket' };

/** As osls packages. */
const packaged: Template = {
  Description: 'a stack',
  Resources: {
    ServerlessDeploymentBucket: { Type: 'AWS::S3::Bucket', Properties: {} },
    ServerlessDeploymentBucketPolicy: { Type: 'AWS::S3::BucketPolicy', Properties: { Bucket: BUCKET } },
    ReapLambdaFunction: {
      Type: 'AWS::Lambda::Function',
      Properties: { MemorySize: 512, Code: { S3Bucket: BUCKET, S3Key: 'serverless/service/live/179-2026/reap.zip' } },
      Metadata: { checkov: {} },
    },
    InlineFunction: { Type: 'AWS::Lambda::Function', Properties: { Code: { ZipFile: 'exports.handler = () => {}' } } },
    Queue: { Type: 'AWS::SQS::Queue', Properties: { DelaySeconds: 15 } },
  },
  Parameters: { Mine: { Type: 'String' } },
  Outputs: { ServerlessDeploymentBucketName: { Value: BUCKET }, Mine: { Value: 'x' } },
};

const template = deployableTemplate(packaged, (zip) => `named-${zip}`);

describe('the deployable template', () => {
  it("takes the code from its parameters, and leaves osls' bucket out", () => {
    expect(template).toEqual({
      Description: 'a stack',
      Parameters: { ArtifactBucket: expect.any(Object), ArtifactPrefix: expect.any(Object), Mine: { Type: 'String' } },
      Rules: { SubnetsHaveSecurityGroups: expect.any(Object), SecurityGroupsHaveSubnets: expect.any(Object) },
      Resources: {
        ReapLambdaFunction: {
          Type: 'AWS::Lambda::Function',
          Properties: {
            MemorySize: 512,
            Code: { S3Bucket: { Ref: 'ArtifactBucket' }, S3Key: { 'Fn::Sub': `${'$'}{ArtifactPrefix}named-reap.zip` } },
          },
          Metadata: { checkov: {} },
        },
        InlineFunction: packaged.Resources.InlineFunction,
        Queue: packaged.Resources.Queue,
      },
      Outputs: { Mine: { Value: 'x' } },
    });
  });

  it('names the zip files that it refers to', () => {
    expect(zipsOf(template)).toEqual(['named-reap.zip']);
  });

  it("is refused where something else refers to osls' bucket", () => {
    const Queue = { Type: 'AWS::SQS::Queue', Properties: { QueueName: BUCKET } };
    const wrong = { ...packaged, Resources: { ...packaged.Resources, Queue } };
    expect(() => deployableTemplate(wrong, (zip) => zip)).toThrow('still refers to ServerlessDeploymentBucket');
  });

  it.each([
    ['', true],
    ['envoy-hpa-reaper/', true],
    ['a/b.c/d_e/', true],
    ['a', false],
    ['/', false],
    ['a//', false],
    ['a b/', false],
  ])('takes the prefix %j: %s', (prefix, taken) => {
    expect(new RegExp(template.Parameters?.ArtifactPrefix?.AllowedPattern ?? '').test(prefix)).toBe(taken);
  });
});
