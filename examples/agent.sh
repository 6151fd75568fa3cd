#!/bin/sh
# What a coding agent does, without a model: edits, deletes and creates files
# in a sample project. Run it with `agentfw run -- sh examples/agent.sh`.
set -eu
cd "$(dirname "$0")/project"

sed -i "s/'Hello, ' + name/\`Hello, \${name}!\`/" src/greet.js
rm src/legacy.js
mkdir -p test
cat > test/greet.test.js <<'TEST'
import { greet } from '../src/greet.js';
import assert from 'node:assert';

assert.equal(greet('Ada'), 'Hello, Ada!');
TEST
echo "done: $(find . -type f | wc -l | tr -d ' ') files in the project"
