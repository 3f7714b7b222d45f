-- Requests of one form with a deterministic sequence of ids, which depends only on the seed.
-- Arguments: the method, path and body, where {row} and {other} are replaced by ids; the number of items with the body
-- in a batch; the first row and the number of rows; the first of the others, their number, and the step to the next.

local method, path, body, times, first, count, from, span, step, seed
local place = 0

function init(arguments)
  method, path, body, times = arguments[1], arguments[2], arguments[3], tonumber(arguments[4])
  first, count = tonumber(arguments[5]), tonumber(arguments[6])
  from, span, step = tonumber(arguments[7]), tonumber(arguments[8]), tonumber(arguments[9])
  seed = tonumber(arguments[10])
  if body ~= "" then
    wrk.headers["Content-Type"] = "application/json"
  end
end

-- A read uses scattered rows. A write uses each row once, with an other that depends on the seed: no pair repeats.
local function with_ids(text, at)
  local row = method == "GET" and (at + seed * 104729) * 7919 or at
  local other = from + (at * step + seed) % span
  return (text:gsub("{row}", string.format("%d", first + row % count)):gsub("{other}", string.format("%d", other)))
end

function request()
  local at = place
  place = place + times
  if body == "" then
    return wrk.format(method, with_ids(path, at))
  end
  if times == 1 then
    return wrk.format(method, with_ids(path, at), nil, with_ids(body, at))
  end
  local items = {}
  for item = 1, times do
    items[item] = with_ids(body, at + item - 1)
  end
  return wrk.format(method, path, nil, '{"items":[' .. table.concat(items, ",") .. "]}")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "not_2xx": %d, "timeouts": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.timeout, errors.connect + errors.read + errors.write
  ))
end
