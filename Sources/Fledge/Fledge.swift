// `import Fledge` gives everything below. The underscore is the language's: it has no other way to pass modules on.
@_exported import FledgeCore
@_exported import FledgeData
@_exported import FledgeMethods
@_exported import FledgeModels
@_exported import FledgeNN
@_exported import FledgeTrain
