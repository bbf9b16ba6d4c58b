import tseslint from "typescript-eslint";

/** Taste made law: short functions, few parameters, nothing forgotten that was started. Layout is prettier's. */
export default tseslint.config(
  { ignores: ["**/node_modules/", "**/dist/", "component/chart/", "**/*.mjs"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommendedTypeCheckedOnly],
    languageOptions: {
      parserOptions: {
        project: ["tsconfig.json", "agent/tsconfig.json", "test/tsconfig.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      // Each ?? and ?. counts as a branch, and what comes from an API is full of them.
      complexity: ["error", 24],
      "max-depth": ["error", 3],
      "max-params": ["error", 6],
      "max-lines-per-function": ["error", { max: 60, skipComments: true, skipBlankLines: true }],
      eqeqeq: "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/unbound-method": "off",
      "@typescript-eslint/restrict-template-expressions": "off",
      "@typescript-eslint/no-base-to-string": "off",
      // JSON.parse has no better type, and each caller names the shape that it expects.
      ...Object.fromEntries(
        ["argument", "assignment", "call", "member-access", "return"].map((what) => [
          `@typescript-eslint/no-unsafe-${what}`,
          "off",
        ]),
      ),
    },
  },
  {
    // A test reads top-down, however long.
    files: ["test/**/*.test.ts"],
    rules: { "max-lines-per-function": "off" },
  },
);
