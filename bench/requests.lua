-- Requests over rows drawn one after the other in a fixed walk, the same in every run of a seed.
-- Arguments: GET or POST, the first row's id, how many there are, what stands before and behind the id in the address,
-- the seed; for POST the name of the body's only field, the first value's id and how many there are.

local method, first, count, before, behind, field, from, span
local place, seed

function init(arguments)
  method, first, count, before, behind = arguments[1], tonumber(arguments[2]), tonumber(arguments[3]), arguments[4], arguments[5]
  seed = tonumber(arguments[6])
  field, from, span = arguments[7], tonumber(arguments[8]), tonumber(arguments[9])
  place = seed * 104729
  if method == "POST" then
    place = 0
    wrk.headers["Content-Type"] = "application/json"
  end
end

function request()
  place = place + 1
  if method == "GET" then
    return wrk.format("GET", before .. (first + (place * 7919) % count) .. behind)
  end
  -- Each row once, with a value that the seed chooses: no pair comes twice.
  local body = '{"' .. field .. '":' .. (from + (place * 7 + seed) % span) .. '}'
  return wrk.format("POST", before .. (first + place % count) .. behind, nil, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "not_2xx": %d, "timeouts": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.timeout, errors.connect + errors.read + errors.write
  ))
end
