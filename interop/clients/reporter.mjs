// A reporter for `node --test`: one line for each case, as the other suites
// print them. A case that was skipped or only planned has failed.
export default async function* (events) {
  let passed = 0
  let failed = 0
  for await (const { type, data } of events) {
    if (data?.details?.type === 'suite') continue
    const evaded = data?.skip !== undefined || data?.todo !== undefined
    if (type === 'test:pass' && !evaded) {
      passed += 1
      yield `passed  ${data.name}\n`
    } else if (type === 'test:pass' || type === 'test:fail') {
      failed += 1
      const error = data.details?.error
      yield `FAILED  ${data.name}\n${evaded ? 'skipped' : (error?.cause?.stack ?? error?.stack ?? error)}\n`
    } else if (type === 'test:stdout' || type === 'test:stderr') {
      yield data.message
    }
  }
  yield `node: ${passed} passed, ${failed} failed\n`
  if (failed > 0 || passed === 0) process.exitCode = 1
}
