/**
 * An ESLint rule: what a module exports is a function or class with a docstring
 * that says what its types don't (docs/contributing.md). One on the first of
 * several overloads counts for all.
 */
const CODE = new Set(['FunctionDeclaration', 'TSDeclareFunction', 'ClassDeclaration']);

export const docstring = {
  meta: { type: 'suggestion', messages: { missing: 'Say what `{{name}}` returns, takes and throws, as far as its types do not: `/** … */` above it.' }, schema: [] },
  create(context) {
    const described = new Set();
    return {
      ExportNamedDeclaration(node) {
        const { declaration } = node;
        if (declaration === null || !CODE.has(declaration.type)) return;
        const name = declaration.id.name;
        const [last] = context.sourceCode.getCommentsBefore(node).slice(-1);
        if (last?.type === 'Block' && last.value.startsWith('*')) described.add(name);
        else if (!described.has(name)) context.report({ node: declaration.id, messageId: 'missing', data: { name } });
      },
    };
  },
};
