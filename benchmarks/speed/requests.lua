-- What wrk asks: the lines of a file, around and around. A line is a path, or a path and a body to POST.

local requests, at = {}, 0

function init(arguments)
    for line in io.lines(arguments[1]) do
        local path, body = line:match("^(%S+) (.+)$")
        if body then
            local headers = {["Content-Type"] = "application/json"}
            requests[#requests + 1] = wrk.format("POST", path, headers, body)
        else
            requests[#requests + 1] = wrk.format("GET", line)
        end
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f}\n',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
    ))
end
