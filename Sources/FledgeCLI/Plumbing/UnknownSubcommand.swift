import ArgumentParser
import Fledge

/// Says what was meant by a verb that does not exist. The parser itself would only call it an unexpected argument.
enum UnknownSubcommand {
    static func check(_ arguments: [String], under root: any ParsableCommand.Type) throws {
        var command = root
        var path = [name(of: root)]
        for argument in arguments {
            let children = command.configuration.subcommands
            // The first word that is no verb belongs to the command before it.
            guard !children.isEmpty, !argument.hasPrefix("-") else { return }
            if argument == "help" { return }
            guard let child = children.first(where: { name(of: $0) == argument || aliases(of: $0).contains(argument) })
            else {
                throw CommandFailure.unknown(
                    "command", argument, among: children.map(name(of:)) + ["help"],
                    list: path.joined(separator: " ") + " --help")
            }
            command = child
            path.append(name(of: child))
        }
    }

    private static func name(of command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? command._commandName
    }

    private static func aliases(of command: any ParsableCommand.Type) -> [String] { command.configuration.aliases }
}
