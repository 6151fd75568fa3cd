import { expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { isOverlayMark, isSystemLabel } from '../../src/kernel/attributes.js';

test.each([
  ['user.overlay.opaque', 'mark'], ['trusted.overlay.origin', 'mark label'], ['trusted.other', 'label'], ['security.selinux', 'label'],
  ['security.capability', ''], ['user.overlays', ''], ['user.note', ''], ['system.posix_acl_access', ''],
])('%s is: %s', (name, is) => {
  const found = [isOverlayMark(name as Bytes) ? 'mark' : '', isSystemLabel(name as Bytes) ? 'label' : ''];

  expect(found.filter((word) => word !== '').join(' ')).toBe(is);
});
