import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

const object = {
  commonName: '0603550403',
  basicConstraints: '0603551d13',
  subjectAltName: '0603551d11',
  ecdsaWithSha256: '06082a8648ce3d040302',
};

/**
 * A new P-256 key and a self-signed X.509 certificate (RFC 5280) that is its own CA, good for 127.0.0.1 and localhost,
 * both as PEM. Made at every start, so that no private key lies in the repository.
 */
export function selfSignedCertificate(now: Date): { key: string; certificate: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(hex(object.ecdsaWithSha256));
  const name = sequence(der(0x31, sequence(hex(object.commonName), utf8String('embedded-cluster'))));
  const day = 24 * 60 * 60 * 1000;
  const alternativeNames = sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])));
  const extensions = sequence(
    sequence(hex(object.basicConstraints), hex('0101ff'), octetString(sequence(hex('0101ff')))),
    sequence(hex(object.subjectAltName), octetString(alternativeNames)),
  );
  const content = sequence(
    der(0xa0, hex('020102')),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name,
    sequence(generalizedTime(now.getTime() - day), generalizedTime(now.getTime() + 3650 * day)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  );
  const signature = sign('sha256', content, privateKey);
  const certificate = sequence(content, algorithm, der(0x03, Buffer.from([0]), signature));
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate: `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64')}\n-----END CERTIFICATE-----\n`,
  };
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const length = content.length;
  const header = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}

const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
const octetString = (content: Buffer): Buffer => der(0x04, content);
const utf8String = (text: string): Buffer => der(0x0c, Buffer.from(text));
const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const generalizedTime = (time: number): Buffer =>
  der(0x18, Buffer.from(`${new Date(time).toISOString().slice(0, 19).replace(/[-T:]/g, '')}Z`));
