-- The world that scripts see: Lua's libraries without those that reach outside, and what Redis adds, all of it read-only.
--
-- Scripts share one state, so none may leave anything behind: what they see are empty tables whose metatables lead to the
-- real ones. `host` holds what is written in Rust. Functions there that may fail return an error's text first, or nil.

local host = ...

local debug, error, getmetatable, setmetatable, select, tostring, type = debug, error, getmetatable, setmetatable, select,
    tostring, type
local loadstring, pairs, pcall, rawget, rawset, setfenv, xpcall = loadstring, pairs, pcall, rawget, rawset, setfenv, xpcall
local collectgarbage, concat, byte, find = collectgarbage, table.concat, string.byte, host.find
local costly, resume, wrap = host.costly, coroutine.resume, coroutine.wrap

-- Lua's own do not end when the script has to.
for _, name in pairs({ "find", "match", "gmatch", "gsub" }) do string[name] = host[name] end
string.gfind = host.gmatch

local READONLY = "Attempt to modify a readonly table"
local function refuse() error(READONLY, 2) end

-- What stands in for a metatable that must not change.
local sealed = {}
setmetatable(sealed, { __newindex = refuse, __metatable = sealed })
local protected = { [sealed] = true }

local function protect(real)
    local shown = setmetatable({}, { __index = real, __newindex = refuse, __metatable = sealed })
    protected[shown] = true
    return shown
end

local function missing(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
end

-- Raises what a function of `host` says is wrong, where the script called it.
local function raise(wrong, ...)
    if wrong then error(wrong, 3) end
    return ...
end

-- What is written in Rust has room for so many.
local function check_count(count)
    if count > host.most_arguments then error("too many arguments", 3) end
end

local function lifted(f)
    return function(...)
        check_count(select("#", ...))
        return raise(f(...))
    end
end

local function lift(functions)
    local all = {}
    for name, f in pairs(functions) do all[name] = type(f) == "function" and lifted(f) or f end
    return all
end

-- What a script's error becomes: a table that tells where it was raised.
local function handle(err)
    local level, info = 2, nil
    repeat
        info = debug.getinfo(level, "Sl")
        level = level + 1
    until not info or info.what ~= "C" and info.what ~= "tail" and info.source ~= "=mneme"
    if type(err) ~= "table" then err = { err = "ERR " .. tostring(err) } end
    if info and not protected[err] then
        rawset(err, "source", info.source)
        rawset(err, "line", info.currentline)
    end
    return err
end

-- A table with this one field, as replies that are no plain values are.
local function single(field)
    return function(...)
        local text = ...
        if select("#", ...) ~= 1 or type(text) ~= "string" then
            return { err = "ERR wrong number or type of arguments" }
        end
        return { [field] = text }
    end
end

local function error_reply(...)
    local text = ...
    if select("#", ...) ~= 1 or type(text) ~= "string" then
        return { err = "ERR wrong number or type of arguments" }
    end
    -- The first word is the error's code; without one there is a general one.
    text = text:gsub("^%-", "")
    if text == "" then return { err = "ERR" } end
    if not find(text, " ", 1, true) then text = "ERR " .. text end
    return { err = text }
end

-- Redis's functions complain by tables, so that nothing is put before their texts.
local function complain(text) error({ err = "ERR " .. text }, 0) end

local levels = { LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3 }
local function log(...)
    local count, level = select("#", ...), ...
    if count < 2 then complain("redis.log() requires two arguments or more.") end
    if type(level) ~= "number" then complain("First argument must be a number (log level).") end
    if level < 0 or level > 3 then complain("Invalid log level.") end
    local words = {}
    for i = 2, count do
        local word = select(i, ...)
        if type(word) == "string" or type(word) == "number" then words[#words + 1] = word end
    end
    host.log(level, concat(words, " "))
end

local redis = {
    call = host.call,
    pcall = host.pcall,
    error_reply = error_reply,
    status_reply = single("ok"),
    sha1hex = function(...)
        if select("#", ...) ~= 1 then complain("wrong number of arguments") end
        return (host.sha1hex(tostring((...))))
    end,
    log = log,
    setresp = function(...)
        local version = ...
        if select("#", ...) ~= 1 then complain("redis.setresp() requires one argument.") end
        if version ~= 2 and version ~= 3 then complain("RESP version must be 2 or 3.") end
        host.setresp(version)
    end,
    -- Effects are replicated, not scripts, so there is nothing to choose.
    set_repl = function(...)
        local what = ...
        if select("#", ...) ~= 1 then complain("redis.set_repl() requires one argument.") end
        if type(what) ~= "number" or what < 0 or what > 3 then
            complain("Invalid replication flags. Please use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
        end
    end,
    replicate_commands = function() return true end,
    -- There is no debugger.
    breakpoint = function() return false end,
    debug = function() end,
    acl_check_cmd = function(...)
        if select("#", ...) == 0 then complain("Please specify at least one argument for this redis.acl_check_cmd() call") end
        check_count(select("#", ...))
        local wrong, may = host.acl_check_cmd(...)
        if wrong then complain(wrong) end
        return may
    end,
    REPL_NONE = 0,
    REPL_AOF = 1,
    REPL_SLAVE = 2,
    REPL_REPLICA = 2,
    REPL_ALL = 3,
    REDIS_VERSION = host.version,
    REDIS_VERSION_NUM = host.version_number,
}
for name, level in pairs(levels) do redis[name] = level end

local math = math
math.random = lifted(host.random)
math.randomseed = function(seed) return raise(host.randomseed(seed)) end

local globals = setmetatable({}, { __index = missing })
for _, name in pairs({ "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "select",
    "tonumber", "tostring", "type", "unpack", "newproxy", "_VERSION" }) do
    rawset(globals, name, _G[name])
end
-- So that no script gets hold of one: by its metatable it could reach what others see.
rawset(globals, "newproxy", nil)
-- Lua's own runs its handler where nobody looks at the clock, if what failed is that the script has to end.
local function handled(handler, ok, ...)
    if ok then return true, ... end
    local told, result = pcall(handler, ...)
    if not told then result = "error in error handling" end
    return false, result
end
-- Of an error that is a table of its own the script gets the text, as in Redis.
local function caught(ok, err, ...)
    if ok or type(err) ~= "table" then return ok, err, ... end
    local text = err.err
    if type(text) == "string" or type(text) == "number" then return false, text end
    return false, err
end
rawset(globals, "pcall", function(...) return caught(pcall(...)) end)
rawset(globals, "xpcall", function(f, handler) return handled(handler, pcall(f)) end)
coroutine.resume = function(...)
    costly()
    return resume(...)
end
coroutine.wrap = function(f)
    local wrapped = wrap(f)
    return function(...)
        costly()
        return wrapped(...)
    end
end
local libraries = {
    redis = redis,
    server = redis,
    string = string,
    table = table,
    math = math,
    coroutine = coroutine,
    os = { clock = host.clock },
    bit = lift(host.bit),
    cjson = lift(host.cjson),
    cmsgpack = lift(host.cmsgpack),
    struct = lift(host.struct),
}
local shown = {}
for name, library in pairs(libraries) do
    shown[library] = shown[library] or protect(library)
    rawset(globals, name, shown[library])
end
do
    local metatable = getmetatable("")
    metatable.__index = string
    metatable.__metatable = sealed
end

local environment_meta = { __index = globals, __newindex = refuse, __metatable = sealed }
local environment = setmetatable({}, environment_meta)
protected[environment] = true
rawset(globals, "_G", environment)

local function guard(f)
    return function(t, ...)
        if protected[t] then error(READONLY, 2) end
        return f(t, ...)
    end
end
rawset(globals, "setmetatable", guard(setmetatable))
rawset(globals, "rawset", guard(rawset))
for _, name in pairs({ "insert", "remove", "sort", "setn" }) do
    if table[name] then table[name] = guard(table[name]) end
end
rawset(globals, "collectgarbage", function(what)
    -- Nobody stops it for those who come after.
    if what == "count" then return collectgarbage("count") end
    costly()
    if what == nil or what == "collect" or what == "step" then return collectgarbage(what) end
    return 0
end)
-- Compiled code is not checked when it is loaded, so none is taken.
local function compile(code, name)
    if type(code) ~= "string" then error("bad argument #1 to 'loadstring' (string expected)", 3) end
    if byte(code) == 27 then return nil, "attempt to load a binary chunk" end
    local f, wrong = loadstring(code, name)
    if f then setfenv(f, environment) end
    return f, wrong
end
rawset(globals, "loadstring", function(code, name) return compile(code, name) end)
rawset(globals, "load", function(more, name)
    local parts = {}
    while true do
        local part = more()
        if part == nil or part == "" then break end
        if type(part) ~= "string" then return nil, "reader function must return a string" end
        parts[#parts + 1] = part
    end
    return compile(concat(parts), name or "=(load)")
end)

-- Libraries of functions. While one is loaded it sees nothing but what it registers with.
local registered

local function named(all)
    local name, callback, description, flags
    for key, value in pairs(all) do
        if key == "function_name" then
            if type(value) ~= "string" then
                complain("function_name argument given to redis.register_function must be a string")
            end
            name = value
        elseif key == "description" then
            if type(value) ~= "string" then
                complain("description argument given to redis.register_function must be a string")
            end
            description = value
        elseif key == "callback" then
            if type(value) ~= "function" then
                complain("callback argument given to redis.register_function must be a function")
            end
            callback = value
        elseif key == "flags" then
            if type(value) ~= "table" then
                complain("flags argument to redis.register_function must be a table representing function flags")
            end
            flags = {}
            for i = 1, #value do
                if not host.flags[value[i]] then complain("unknown flag given") end
                flags[i] = value[i]
            end
        else
            complain("unknown argument given to redis.register_function")
        end
    end
    if not name then complain("redis.register_function must get a function name argument") end
    if not callback then complain("redis.register_function must get a callback argument") end
    return name, callback, description, flags
end

local function register(...)
    if not registered then complain("redis.register_function can only be called on FUNCTION LOAD command") end
    local count, first, second = select("#", ...), ...
    if count < 1 or count > 2 then complain("wrong number of arguments to redis.register_function") end
    local name, callback, description, flags
    if count == 1 then
        if type(first) ~= "table" then
            complain(
                "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).")
        end
        name, callback, description, flags = named(first)
    else
        if type(first) ~= "string" then complain("first argument to redis.register_function must be a string") end
        if type(second) ~= "function" then complain("second argument to redis.register_function must be a function") end
        name, callback = first, second
    end
    if not find(name, "^[%w_]+$") then
        complain(
            "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long")
    end
    for i = 1, #registered do
        if registered[i].name == name then complain("Function already exists in the library") end
    end
    registered[#registered + 1] = { name = name, callback = callback, description = description, flags = flags or {} }
end

local loading = setmetatable({}, { __index = missing })
do
    local while_loading = { register_function = register, log = log }
    for _, name in pairs({ "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING", "REDIS_VERSION", "REDIS_VERSION_NUM" }) do
        while_loading[name] = redis[name]
    end
    rawset(loading, "redis", protect(setmetatable(while_loading, { __index = missing })))
    rawset(loading, "_G", environment)
end

-- What the engine calls.

local f, keys, argv
local function invoke() return f(keys, argv) end

local entry = {}

function entry.eval(script, k, a)
    rawset(globals, "KEYS", k)
    rawset(globals, "ARGV", a)
    return xpcall(script, handle)
end

function entry.fcall(callback, k, a)
    f, keys, argv = callback, k, a
    return xpcall(invoke, handle)
end

function entry.load(code)
    local library, wrong = loadstring(code, "@user_function")
    if not library then return "Error compiling function: " .. wrong end
    setfenv(library, environment)
    registered = {}
    environment_meta.__index = loading
    local ok, err = xpcall(library, handle)
    environment_meta.__index = globals
    local found = registered
    registered = nil
    if not ok then
        return "Error registering functions: " .. tostring(type(err) == "table" and err.err or err)
    end
    if #found == 0 then return "No functions registered" end
    local callbacks = {}
    for i = 1, #found do callbacks[found[i].name] = found[i].callback end
    return nil, found, callbacks
end

function entry.compile(code)
    local script, wrong = loadstring(code, "@user_script")
    if script then setfenv(script, environment) end
    return wrong, script
end

return entry
