-- GET students/{id}/courses over students drawn at random, the same ones in every run of a seed.
-- Arguments: the first student's id, the number of students, the query string, the seed.

local first, count, query

function init(arguments)
  first, count, query = tonumber(arguments[1]), tonumber(arguments[2]), arguments[3]
  math.randomseed(tonumber(arguments[4]))
end

function request()
  local student = first + math.random(0, count - 1)
  return wrk.format("GET", "/api/v1/students/" .. student .. "/courses" .. query)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "not_2xx": %d, "timeouts": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.timeout, errors.connect + errors.read + errors.write
  ))
end
